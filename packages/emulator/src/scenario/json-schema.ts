import { z } from 'zod'
import { parseDurationMs } from './duration.ts'
import { scenarioSchema } from './schema.ts'

/** JSON Schema, draft 2020-12, as far as it is used here. */
export interface JsonSchema {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly examples?: readonly unknown[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly minLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | JsonSchema
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
  readonly $ref?: string
  readonly $defs?: Readonly<Record<string, JsonSchema>>
}

/**
 * What a scenario file may hold, for editors. It takes every scenario that `parseScenario` takes; what two keys say to each other, and how
 * a threshold names its metric, only that one judges.
 */
export function scenarioJsonSchema(): JsonSchema {
  const { $schema, ...schema } = z.toJSONSchema(scenarioSchema, { io: 'input', override: ({ jsonSchema }) => complete(jsonSchema) })
  const title = 'A scenario of certfleet'
  return { $schema, title, ...schema } as JsonSchema
}

/** zod drops defaults and examples of what is read into another form: here they are of what is written. */
function complete(schema: z.core.JSONSchema.BaseSchema): void {
  const { samples, otherwise, description, ...rest } = schema
  for (const key of Object.keys(schema)) delete schema[key]
  const isValue = typeof otherwise !== 'string' || parseDurationMs(otherwise) !== undefined || rest.enum?.includes(otherwise)
  const words = [description, ...(otherwise === undefined ? [] : [`Default: ${otherwise}.`])].filter((part) => part !== undefined)
  Object.assign(schema, {
    ...(words.length > 0 && { description: words.join(' ') }),
    ...rest,
    ...(otherwise !== undefined && isValue && { default: otherwise }),
    ...(samples !== undefined && { examples: samples }),
  })
}
