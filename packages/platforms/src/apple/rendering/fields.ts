import { profileErrors, refuse } from './problem.ts'
import type { PlistValue } from './property-list.ts'

export type Dict = Readonly<Record<string, PlistValue>>

/** A dictionary of a profile, with the name that messages give it. */
export interface Part {
  readonly name: string
  readonly values: Dict
}

export function field(part: Part, key: string): PlistValue | undefined {
  return Object.hasOwn(part.values, key) ? part.values[key] : undefined
}

export function isDict(value: PlistValue | undefined): value is { [key: string]: PlistValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value) && !(value instanceof Date)
}

export function textOf(part: Part, key: string): string | undefined {
  return typed(part, key, 'a string', (value) => typeof value === 'string')
}

/** A whole number from 0. Profiles in the field have reals too. */
export function countOf(part: Part, key: string): number | undefined {
  return typed(part, key, 'a whole number', (value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0)
}

export function flagOf(part: Part, key: string): boolean | undefined {
  return typed(part, key, 'true or false', (value) => typeof value === 'boolean')
}

export function bytesOf(part: Part, key: string): Uint8Array | undefined {
  return typed(part, key, 'data', (value) => value instanceof Uint8Array)
}

export function dictOf(part: Part, key: string): Dict | undefined {
  return typed(part, key, 'a dictionary', isDict)
}

export function listOf(part: Part, key: string): readonly PlistValue[] | undefined {
  return typed(part, key, 'an array', (value) => Array.isArray(value))
}

/** The field, which must be there. */
export function needed<T>(part: Part, key: string, value: T | undefined): T {
  return value ?? refuse(part.name, `${key} is missing`, profileErrors.missingField)
}

export function unsupported(part: Part, key: string, expected: string): never {
  return refuse(part.name, `${key} has an unsupported value, expected ${expected}`, profileErrors.unsupportedValue)
}

function typed<T>(part: Part, key: string, expected: string, is: (value: PlistValue) => boolean): T | undefined {
  const value = field(part, key)
  if (value === undefined || is(value)) return value as T | undefined
  return refuse(part.name, `${key} has another type, expected ${expected}`, profileErrors.badFieldType)
}
