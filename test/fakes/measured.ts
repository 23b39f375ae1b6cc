import type { Measurements } from '#emulator/measure/types.ts'

export const nothingMeasured: Omit<Measurements, 'cost'> = {
  histograms: {},
  errors: [],
  lateness: [],
  late: 0,
  pending: 0,
  binMs: 250,
  bins: [],
}
