import type { Measurements, ProcessCost } from '#emulator/measure/types.ts'

export const nothingMeasured: Omit<Measurements, 'cost'> = {
  histograms: {},
  errors: [],
  lateness: [],
  late: 0,
  pending: 0,
  binMs: 250,
  bins: [],
}

export const noCost: ProcessCost = { cpuMs: 0, busyMs: 0, wallMs: 0, rssBytes: 0, loopLag: [] }
