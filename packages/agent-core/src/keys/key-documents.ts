import { z } from 'zod'
import { AgentError } from '../errors.ts'

/** Base64 of `lengthBytes` octets, any number by default, in its one canonical spelling. */
export function base64(lengthBytes?: number): z.ZodType<string, string> {
  return z.string().refine((text) => {
    const bytes = Buffer.from(text, 'base64')
    return bytes.toString('base64') === text && (lengthBytes ?? bytes.length) === bytes.length
  })
}

/** One line of JSON. */
export function encodeDocument(document: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(document)}\n`)
}

interface DocumentKind<Document> {
  /** What it is, for people. */
  readonly name: string
  readonly kind: string
  readonly version: number
  readonly schema: z.ZodType<Document>
}

/**
 * Reads what `encodeDocument` wrote, octet for octet: another spelling of the same members is refused too, so that no change is unseen.
 * Anything else, torn, foreign or of another version, is `ERR_STATE_INVALID` and names `file`.
 */
export function parseDocument<Document extends object>(bytes: Uint8Array, file: string, expected: DocumentKind<Document>): Document {
  const json = parseJson(bytes)
  const head = z.object({ kind: z.literal(expected.kind), version: z.number() }).safeParse(json).data
  if (head !== undefined && head.version !== expected.version) {
    throw invalid(file, expected.name, `it has version ${head.version}, expected ${expected.version}`)
  }
  const parsed = expected.schema.safeParse(json)
  if (!parsed.success) throw invalid(file, expected.name, `unexpected content at "${parsed.error.issues[0]?.path.join('.') ?? ''}"`)
  if (Buffer.compare(encodeDocument(parsed.data), bytes) !== 0) throw invalid(file, expected.name, 'it was written by something else')
  return parsed.data
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString())
  } catch {
    // No document has no members: the schema says so.
    return undefined
  }
}

export function invalid(file: string, name: string, problem: string): AgentError {
  return new AgentError('ERR_STATE_INVALID', `${file} is not ${name}: ${problem}; it was left as it is`)
}

/** One error for every cause, so that none tells which it was. */
export function refused(file: string): AgentError {
  return new AgentError(
    'ERR_KEY_SECRET_REFUSED',
    `${file} cannot be opened: wrong passphrase or key, or the file was changed; it was left as it is`,
  )
}
