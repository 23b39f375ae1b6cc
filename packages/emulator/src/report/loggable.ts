import { KeyObject } from 'node:crypto'
import { printable } from './printable.ts'

export type Loggable = null | boolean | number | string
/** Makes one member of an event fit to be logged, whatever was put there; undefined leaves it out. */
export type Format = (value: unknown) => Loggable | undefined

const maxTextLength = 1_000

export const number: Format = (value) => (typeof value === 'number' ? value : refused(value))
export const flag: Format = (value) => (typeof value === 'boolean' ? value : refused(value))
/** What the program itself wrote, which holds no secret: a sentence, an id, a code. */
export const text: Format = (value) =>
  typeof value === 'string' ? printable(withoutSecretForms(value)).slice(0, maxTextLength) : refused(value)

/** What stands in the place of a value that has no business there: what it is, never what is in it. */
function refused(value: unknown): Loggable | undefined {
  if (value === null) return null
  if (value === undefined || typeof value === 'function') return undefined
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} octets]`
  if (value instanceof KeyObject) return '[key]'
  return `[${typeof value === 'object' ? typeOf(value) : typeof value}]`
}

/** A code of this program or of the system, such as `ECONNRESET`; else the name of its class, which no server chooses. */
function typeOf(value: object): string {
  const { code } = value as { readonly code?: unknown }
  if (value instanceof Error && typeof code === 'string' && /^E[A-Z0-9_]{2,60}$/.test(code)) return code
  const { name } = Object.getPrototypeOf(value)?.constructor ?? {}
  return typeof name === 'string' && /^[A-Za-z]\w{0,60}$/.test(name) ? name : 'object'
}

/** A second fence, for a sentence that quotes: PEM, and the credentials and the query of a URL, have a form by which they are known. */
function withoutSecretForms(sentence: string): string {
  return sentence
    .replace(/-----BEGIN [^-]*-----[\s\S]*?(?:-----END [^-]*-----|$)/g, '[PEM]')
    .replace(/\b(https?:\/\/)(?:[^\s/?#@]*@)?([^\s?#"]*)(?:[?#][^\s"]*)?/g, '$1$2')
}
