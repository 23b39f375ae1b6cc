import type { JsonSchema } from './json-schema.ts'

/** One key of a scenario, or of something in it. */
export interface KeyRow {
  /** `faults.delay`, `devices[].platform`. */
  readonly path: string
  /** What it may be, in words. */
  readonly type: string
  /** With its default. */
  readonly description: string
}

/** The key itself and all that are in it, each path once, in the order of the schema. */
export function keyRows(path: string, schema: JsonSchema): readonly KeyRow[] {
  const rows = new Map<string, KeyRow>()
  for (const row of allRows(path, schema)) rows.set(row.path, joined(rows.get(row.path), row))
  return [...rows.values()]
}

/** What is there in several shapes may be what it may be in each. */
function joined(before: KeyRow | undefined, { path, type, description }: KeyRow): KeyRow {
  if (before === undefined) return { path, type, description }
  const types = before.type.split(' or ').includes(type) ? before.type : `${before.type} or ${type}`
  return { path, type: types, description: before.description || description }
}

function allRows(path: string, schema: JsonSchema): KeyRow[] {
  return [{ path, type: typeText(schema), description: schema.description ?? '' }, ...innerRows(path, schema)]
}

function innerRows(path: string, schema: JsonSchema): KeyRow[] {
  const { properties = {}, items, anyOf = [], oneOf = [] } = schema
  return [
    ...Object.entries(properties).flatMap(([key, inner]) => allRows(`${path}.${key}`, inner)),
    ...(items ? innerRows(`${path}[]`, items) : []),
    ...[...anyOf, ...oneOf].flatMap((branch) => innerRows(path, branch)),
  ]
}

function typeText(schema: JsonSchema): string {
  const { $ref, type, enum: values, items, anyOf, oneOf, properties } = schema
  if ($ref !== undefined) return $ref.split('/').at(-1) as string
  if ('const' in schema) return `\`${schema.const}\``
  if (values) return listed(values.map((value) => `\`${value}\``))
  const branches = anyOf ?? oneOf
  if (branches) return listed([...new Set(branches.map(typeText))])
  if (items) return `list of ${typeText(items)}`
  if (properties) return objectText(schema)
  return type === 'integer' || type === 'number'
    ? numberText(schema)
    : type === 'boolean'
      ? '`true` or `false`'
      : (words[type ?? ''] ?? 'anything')
}

const words: Readonly<Record<string, string>> = { string: 'text', object: 'keys of its own' }

/** By the keys that it must have, which tell one from another. */
function objectText({ required = [], properties = {} }: JsonSchema): string {
  const keys = required.length > 0 ? required : Object.keys(properties)
  return `{ ${keys.join(', ')}${keys.length < Object.keys(properties).length ? ', …' : ''} }`
}

function numberText({ type, minimum, exclusiveMinimum, maximum }: JsonSchema): string {
  const low = minimum !== undefined ? ` from ${minimum}` : exclusiveMinimum !== undefined ? ` above ${exclusiveMinimum}` : ''
  const high = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? ` to ${maximum}` : ''
  return `${type === 'integer' ? 'whole number' : 'number'}${low}${high}`
}

function listed(values: readonly string[]): string {
  return values.length < 2 ? values.join('') : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`
}
