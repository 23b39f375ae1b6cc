import { fileURLToPath } from 'node:url'

/** The folder of the checkout, for tests that run from source and compiled alike. */
export const root: string = fileURLToPath(new URL('../../../', import.meta.resolve('@certfleet/emulator')))
