import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { AgentError } from '../errors.ts'

/** What one file of an agent holds. */
export interface JsonFileKind<Document> {
  /** What it is, for people. */
  readonly name: string
  readonly schemaVersion: number
  /** Only checks: what it would change or leave out is not changed. */
  readonly schema: z.ZodType<Document, Document>
}

export function encodeJsonFile<Document>(document: Document): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(document))
}

const versionSchema = z.object({ schemaVersion: z.number() })

/**
 * Reads what `encodeJsonFile` wrote, with members in the order in which they were written.
 * Anything else, torn, foreign or of another version, is `ERR_STATE_INVALID` and names `file`.
 */
export function parseJsonFile<Document>(
  bytes: Uint8Array,
  file: string,
  { name, schemaVersion, schema }: JsonFileKind<Document>,
): Document {
  const json = parseJson(bytes, file, name)
  const found = versionSchema.safeParse(json).data?.schemaVersion
  if (found !== undefined && found !== schemaVersion) {
    throw unreadable(file, name, `it has schema version ${found}, expected ${schemaVersion}`)
  }
  const parsed = schema.safeParse(json)
  if (!parsed.success) throw unreadable(file, name, `unexpected content at "${parsed.error.issues[0]?.path.join('.') ?? ''}"`)
  return json as Document
}

export function unreadable(file: string, name: string, problem: string): AgentError {
  return new AgentError('ERR_STATE_INVALID', `${file} is not ${name}: ${problem}; it was left as it is`)
}

function parseJson(bytes: Uint8Array, file: string, name: string): unknown {
  if (!isUtf8(bytes)) throw unreadable(file, name, 'it is not JSON in UTF-8')
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    throw unreadable(file, name, 'it is not JSON')
  }
}
