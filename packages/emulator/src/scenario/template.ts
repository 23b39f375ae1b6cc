import { stringify } from 'yaml'
import { type JsonSchema, scenarioJsonSchema } from './json-schema.ts'
import { keyRows } from './key-rows.ts'
import type { ScenarioDocument } from './schema.ts'

type Key = keyof ScenarioDocument

/** One key of the scenario that `certfleet init` writes. */
export interface TemplatePart {
  readonly key: Key
  readonly comment: readonly string[]
  /** YAML as it stands there. Absent: the key is commented out. */
  readonly active?: string
  /** YAML of one line each, commented out: each is valid in place of `active` and of `insteadOf`, together with `beside`. */
  readonly alternatives: readonly string[]
  readonly insteadOf: readonly Key[]
  readonly beside: readonly string[]
}

const active: Partial<Record<Key, unknown>> = {
  devices: { ios: 5, macos: 5, android: 5, windows: 5 },
  thresholds: ['enrollment.p99 < 10s', 'failed.count == 0', 'invariants == 0'],
}

/** What has to go, or has to be there, for a key to mean anything. */
const company: Partial<Record<Key, Partial<Pick<TemplatePart, 'insteadOf' | 'beside'>>>> = {
  tenant: { insteadOf: ['devices'] },
  virtual: { insteadOf: ['thresholds'] },
  'pin-file': { beside: ['ksp: passport'] },
  checkIn: { beside: ['duration: 10m'] },
  think: { beside: ['duration: 10m'] },
}

/** Every key that a scenario can have, in the order of the schema. */
export function templateParts(): readonly TemplatePart[] {
  const { properties = {} } = scenarioJsonSchema()
  return Object.entries(properties).map(([name, schema]) => partOf(name as Key, schema))
}

function partOf(key: Key, schema: JsonSchema): TemplatePart {
  const { insteadOf = [], beside = [] } = company[key] ?? {}
  const given = active[key]
  return {
    key,
    insteadOf,
    beside,
    comment: [
      ...commentOf(key, schema),
      ...insteadOf.map((other) => `Instead of "${other}".`),
      ...beside.map((other) => `With "${other}".`),
    ],
    alternatives: (schema.examples ?? []).map((sample) => inline(key, sample)),
    ...(given !== undefined && { active: stringify({ [key]: given }).trimEnd() }),
  }
}

/** Types are left to the editor and to docs/scenario.md. */
function commentOf(key: Key, schema: JsonSchema): string[] {
  const inner = keyRows(key, schema).slice(1)
  const told = new Map(inner.map(({ path, description }) => [`${path.split('.').at(-1)}: ${description}`, description]))
  return [schema.description ?? '', ...[...told].filter(([, description]) => description !== '').map(([line]) => `  ${line}`)]
}

const inline = (key: string, value: unknown): string =>
  `${key}: ${stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: true }).trim()}`

const longestLine = 100

/** A commented scenario with every key, valid as it stands. `schema`: where editors find the JSON Schema. */
export function scenarioTemplate(schema: string): string {
  const head = [
    `# yaml-language-server: $schema=${schema}`,
    '# A scenario: certfleet run FILE. Every key is optional; paths are relative to this file.',
    '# What is commented out shows what a key can be; "certfleet run --help" and docs/scenario.md tell more.',
  ]
  return `${[head.join('\n'), ...templateParts().map(textOf)].join('\n\n')}\n`
}

function textOf({ comment, active, alternatives }: TemplatePart): string {
  const lines = [...comment.flatMap(wrapped).map((line) => `# ${line}`), ...alternatives.map((line) => `# ${line}`)]
  return [...lines, ...(active === undefined ? [] : [active])].join('\n')
}

/** A line that is too long goes on further in. */
function wrapped(line: string): string[] {
  if (line.length <= longestLine) return [line]
  const at = line.lastIndexOf(' ', longestLine)
  const indent = (/^ */.exec(line)?.[0] ?? '') + (line.startsWith(' ') ? '  ' : '')
  if (at <= indent.length) return [line]
  return [line.slice(0, at), ...wrapped(indent + line.slice(at + 1))]
}
