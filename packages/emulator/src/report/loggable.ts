import { KeyObject } from 'node:crypto'
import { AgentError } from '@certfleet/agent-core'
import { printable } from './printable.ts'

export type Loggable = null | boolean | number | string | readonly Loggable[] | { readonly [name: string]: Loggable }
/** Makes one member of an event fit to be logged, whatever was put there; undefined leaves it out. */
export type Format = (value: unknown) => Loggable | undefined

const maxTextLength = 1_000
const maxCauses = 8

export const number: Format = (value) => (typeof value === 'number' ? value : refused(value))
export const flag: Format = (value) => (typeof value === 'boolean' ? value : refused(value))
/** What the program itself wrote, which holds no secret: a sentence, an id, a code. */
export const text: Format = (value) =>
  typeof value === 'string' ? printable(withoutSecretForms(value)).slice(0, maxTextLength) : refused(value)

/**
 * Of an `AgentError` its code and message, since that never holds a secret, and the codes of its causes. Of any other error its type
 * and the system's code alone: what its message quotes is not known.
 */
export const failure: Format = (value) => {
  if (!(value instanceof Error)) return refused(value)
  const told = value instanceof AgentError ? { code: value.code, message: text(value.message) ?? '' } : { type: typeOf(value) }
  const causes = causesOf(value)
  return causes.length === 0 ? told : { ...told, causes }
}

/** Method and address; a query may hold a request, and headers and body hold secrets. */
export const request: Format = (value) => {
  const { method, url } = membersOf(value)
  if (typeof method !== 'string' || typeof url !== 'string') return refused(value)
  return { method: text(method) ?? '', address: addressOf(url) }
}

export const status: Format = (value) => {
  const { status } = membersOf(value)
  return typeof status === 'number' ? { status } : refused(value)
}

/** What stands in the place of a value that has no business there: what it is, never what is in it. */
function refused(value: unknown): Loggable | undefined {
  if (value === null) return null
  if (value === undefined || typeof value === 'function') return undefined
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} octets]`
  if (value instanceof KeyObject) return '[key]'
  if (value instanceof Error) return failure(value)
  return `[${typeof value === 'object' ? typeOf(value) : typeof value}]`
}

function causesOf({ cause }: Error): string[] {
  const causes: string[] = []
  for (let next = cause; next instanceof Error && causes.length < maxCauses; next = next.cause) causes.push(typeOf(next))
  return causes
}

/** A code of this program or of the system, such as `ECONNRESET`; else the name of its class, which no server chooses. */
function typeOf(value: object): string {
  const { code } = membersOf(value)
  if (value instanceof Error && typeof code === 'string' && /^E[A-Z0-9_]{2,60}$/.test(code)) return code
  const { name } = Object.getPrototypeOf(value)?.constructor ?? {}
  return typeof name === 'string' && /^[A-Za-z]\w{0,60}$/.test(name) ? name : 'object'
}

const membersOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

function addressOf(url: string): string {
  if (!URL.canParse(url)) return '[not a URL]'
  const { protocol, host, pathname } = new URL(url)
  return printable(`${protocol}//${host}${pathname}`).slice(0, maxTextLength)
}

/** A second fence, for a sentence that quotes: PEM, and the credentials and the query of a URL, have a form by which they are known. */
function withoutSecretForms(sentence: string): string {
  return sentence
    .replace(/-----BEGIN [^-]*-----[\s\S]*?(?:-----END [^-]*-----|$)/g, '[PEM]')
    .replace(/\b(https?:\/\/)(?:[^\s/?#@]*@)?([^\s?#"]*)(?:[?#][^\s"]*)?/g, '$1$2')
}
