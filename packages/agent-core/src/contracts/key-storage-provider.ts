import type { KeyStorageProvider } from '../ports.ts'
import type { KeySpec } from '../types.ts'
import { type Bench, type BenchCheck, createBench } from './bench.ts'
import { importingChecks } from './importing.ts'
import { labelChecks } from './labels.ts'
import { lifeChecks, restartChecks } from './lives.ts'
import { makingChecks } from './making.ts'
import { secretChecks } from './secrets.ts'
import { signingChecks } from './signing.ts'
import { unwrappingChecks } from './unwrapping.ts'

export interface ContractCheck {
  /** What is promised, as a sentence. */
  readonly name: string
  /** Rejects with an `AssertionError` that says how the promise was broken, or with what the provider threw. */
  run(): Promise<void>
}

export interface KeyContractOptions {
  /** The key that the checks make. Default RSA-2048. */
  readonly spec?: KeySpec
  /** Whether such a key unwraps. Default: RSA does, EC does not. */
  readonly unwraps?: boolean
  /** Keys that the provider never makes. Default RSA-512 and RSA-16384. */
  readonly refusedSpecs?: readonly KeySpec[]
  /** The same storage as a program that starts anew finds it. Absent: keys need not outlive the program. */
  readonly restart?: () => Promise<KeyStorageProvider>
}

/**
 * What every `KeyStorageProvider` promises (`ports.ts`), over node:assert: run the checks one after another, in this order, in any test
 * runner or a loop. `make` is called once.
 *
 * They make about eight keys, at most three at a time, and destroy each: the last check the ones that all share, and a check that fails
 * every one so far. Keys that were there before are left alone. One run at a time on one storage.
 */
export function keyStorageProviderContract(
  make: () => Promise<KeyStorageProvider>,
  options: KeyContractOptions = {},
): readonly ContractCheck[] {
  const { spec = { algorithm: 'rsa', bits: 2048 }, unwraps = spec.algorithm === 'rsa', refusedSpecs = tooSmallAndTooLarge } = options
  const bench = createBench(make, spec)
  const checks: readonly BenchCheck[] = [
    ...makingChecks(refusedSpecs),
    ...labelChecks,
    ...signingChecks,
    ...unwrappingChecks(unwraps),
    ...secretChecks(unwraps),
    ...importingChecks,
    ...(options.restart ? restartChecks(options.restart) : []),
    ...lifeChecks,
  ]
  return checks.map(([name, check]) => ({ name, run: () => runOn(bench, check) }))
}

const tooSmallAndTooLarge: readonly KeySpec[] = [
  { algorithm: 'rsa', bits: 512 },
  { algorithm: 'rsa', bits: 16384 },
]

async function runOn(bench: Bench, check: BenchCheck[1]): Promise<void> {
  try {
    await check(bench)
  } catch (error) {
    // A key that cannot be destroyed either is the last check's to tell.
    await bench.clear().catch(() => undefined)
    throw error
  }
}
