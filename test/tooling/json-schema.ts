import type { JsonSchema } from '@certfleet/emulator/fleet'

/** What is wrong with a value by a schema, a line each with its path; nothing where it is valid. Knows the words of draft 2020-12 that certfleet writes. */
export function violations(value: unknown, schema: JsonSchema, root: JsonSchema = schema, path = '$'): string[] {
  const target = schema.$ref ? root.$defs?.[schema.$ref.split('/').at(-1) as string] : undefined
  const inner = (branch: JsonSchema) => violations(value, branch, root, path)
  const branches = schema.anyOf ?? schema.oneOf
  return [
    ...(target ? inner(target) : []),
    ...(branches && !branches.some((branch) => inner(branch).length === 0) ? [`${path}: fits none of ${branches.length}`] : []),
    ...own(value, schema, path),
    ...(Array.isArray(value) ? value.flatMap((item, i) => violations(item, schema.items ?? {}, root, `${path}[${i}]`)) : []),
    ...(isObject(value) ? members(value, schema, root, path) : []),
  ]
}

function own(value: unknown, schema: JsonSchema, path: string): string[] {
  const number = typeof value === 'number' ? value : undefined
  const length = Array.isArray(value) ? value.length : undefined
  const failed: [boolean, string][] = [
    [schema.type !== undefined && !isOfType(value, schema.type), `is no ${schema.type}`],
    [schema.enum !== undefined && !schema.enum.includes(value), 'is none of the enum'],
    ['const' in schema && schema.const !== value, `is not ${schema.const}`],
    [
      schema.pattern !== undefined && typeof value === 'string' && !new RegExp(schema.pattern, 'u').test(value),
      `does not match ${schema.pattern}`,
    ],
    [typeof value === 'string' && value.length < (schema.minLength ?? 0), 'is too short'],
    [number !== undefined && number < (schema.minimum ?? number), 'is too small'],
    [number !== undefined && number > (schema.maximum ?? number), 'is too large'],
    [number !== undefined && schema.exclusiveMinimum !== undefined && number <= schema.exclusiveMinimum, 'is too small'],
    [length !== undefined && length < (schema.minItems ?? 0), 'has too few'],
    [length !== undefined && length > (schema.maxItems ?? length), 'has too many'],
  ]
  return failed.flatMap(([isFailed, why]) => (isFailed ? [`${path}: ${why}`] : []))
}

function members(value: Record<string, unknown>, schema: JsonSchema, root: JsonSchema, path: string): string[] {
  const { properties = {}, required = [], additionalProperties = true } = schema
  return [
    ...required.filter((key) => !(key in value)).map((key) => `${path}: lacks ${key}`),
    ...Object.entries(value).flatMap(([key, inner]) => {
      const property = properties[key] ?? (typeof additionalProperties === 'object' ? additionalProperties : undefined)
      if (property) return violations(inner, property, root, `${path}.${key}`)
      return additionalProperties === false ? [`${path}: has ${key}`] : []
    }),
  ]
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

function isOfType(value: unknown, type: string): boolean {
  if (type === 'array') return Array.isArray(value)
  if (type === 'object') return isObject(value)
  return type === 'integer' ? Number.isInteger(value) : typeof value === type
}
