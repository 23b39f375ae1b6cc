import { InputError } from './input-error.ts'
import type { ScenarioDocument } from './schema.ts'

type Key = keyof ScenarioDocument

/** What is wrong at a path, where the scenario has that key and the rule holds. */
interface Rule {
  readonly path: readonly [Key, ...string[]]
  readonly when: (scenario: ScenarioDocument) => boolean
  readonly problem: string
}

/** Keys that mean nothing on a virtual clock. */
const loadOnly = [
  'target',
  'arrival',
  'duration',
  'checkIn',
  'think',
  'faults',
  'timeout',
  'thresholds',
  'workers',
] as const satisfies readonly Key[]

const has = (key: Key) => (scenario: ScenarioDocument) => scenario[key] !== undefined
const hasNot = (key: Key) => (scenario: ScenarioDocument) => scenario[key] === undefined
const onlyWithDuration = 'only devices that stay check in; give "duration" too, or leave it out'

const rules: readonly Rule[] = [
  {
    path: ['devices'],
    when: has('tenant'),
    problem: 'the tenant names its devices; leave out "devices", or leave out "tenant" and have one generated',
  },
  { path: ['management'], when: has('tenant'), problem: 'the tenant says what its devices are enrolled as; say it there' },
  {
    path: ['pin-file'],
    when: ({ ksp }) => ksp?.kind !== 'passport' && ksp?.kind !== 'pkcs11',
    problem: 'nothing asks for a PIN; leave it out, or give "ksp" as passport or pkcs11:MODULE?token=LABEL',
  },
  {
    path: ['ksp'],
    when: ({ keys }) => keys === 'pool' || keys === 'primes',
    problem: 'keys of a pool are not made where "ksp" says; leave out "ksp", or "keys"',
  },
  { path: ['lab'], when: has('target'), problem: 'there is no embedded lab beside "target"; leave one of them out' },
  {
    path: ['profiles'],
    when: ({ target }) => target !== undefined && 'policy' in target,
    problem: 'the policy service has its own profiles; leave it out',
  },
  { path: ['checkIn'], when: hasNot('duration'), problem: onlyWithDuration },
  { path: ['think'], when: hasNot('duration'), problem: onlyWithDuration },
  { path: ['faults', 'delay'], when: ({ faults }) => faults?.delayed === undefined, problem: 'nothing is delayed; give "delayed" too' },
  ...loadOnly.map(
    (key): Rule => ({ path: [key], when: has('virtual'), problem: 'has no effect on a virtual clock; leave it out, or "virtual"' }),
  ),
]

/** Keys that exclude each other, or mean nothing without another: `InputError` with a line for each. `at` tells where a path is. */
export function refuseContradictions(scenario: ScenarioDocument, at: (path: readonly string[]) => string): void {
  const broken = rules.filter(({ path, when }) => isThere(scenario, path) && when(scenario))
  if (broken.length === 0) return
  throw new InputError(broken.map(({ path, problem }) => `${at(path)}: ${path.join('.')}: ${problem}`).join('\n'))
}

function isThere(scenario: object, path: readonly string[]): boolean {
  let found: unknown = scenario
  for (const key of path) found = typeof found === 'object' && found !== null ? (found as Record<string, unknown>)[key] : undefined
  return found !== undefined
}
