import { z } from 'zod'
import { resultsSchema } from './schema.ts'

/** `results.json` as JSON Schema (draft 2020-12), which `schema/results.schema.json` of the package holds. */
export function resultsJsonSchema(): Readonly<Record<string, unknown>> {
  return { title: 'certfleet results.json', ...z.toJSONSchema(resultsSchema) }
}
