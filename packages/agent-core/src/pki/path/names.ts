import { readChildren, readOid, readSequence, readText, sequence, Tag, tlv } from '../../der/index.ts'
import { AgentError } from '../../errors.ts'
import { canonicalRdns } from '../names.ts'
import { NameOid } from '../oids.ts'

/** A Name as its relative names from the root down, each in one comparable string; undefined when its text cannot be read. */
export type ComparableName = readonly string[] | undefined

const comparable = new WeakMap<Uint8Array, { readonly name: ComparableName }>()

/** Compared once for each Name that a certificate holds: path building asks for the same ones again and again. */
export function comparableName(name: Uint8Array): ComparableName {
  const known = comparable.get(name) ?? { name: readable(name) }
  comparable.set(name, known)
  return known.name
}

/** A Name as one string. Names whose text cannot be read are equal only to their own octets. */
export function nameKey(name: Uint8Array): string {
  return comparableName(name)?.join('/') ?? `#${Buffer.from(name).toString('hex')}`
}

/** The key of the name that one relative name (contents of its SET) makes below `parent`. */
export function nameKeyBelow(parent: Uint8Array, relativeName: Uint8Array): string {
  return `${nameKey(parent)}/${nameKey(sequence(tlv(Tag.Set, relativeName)))}`
}

/** Whether two Names (DER) name the same thing; never throws. */
export function isSameName(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0 || nameKey(a) === nameKey(b)
}

/** RFC 5280 4.2.1.10, directoryName: `name` starts with all of `base`. */
export function isWithin(name: ComparableName, base: ComparableName): boolean {
  if (name === undefined || base === undefined) return false
  return base.length <= name.length && base.every((relativeName, i) => relativeName === name[i])
}

export function isEmptyName(name: Uint8Array): boolean {
  return name.length === 2
}

/** The emailAddress attributes of a Name: what email constraints apply to when there is no SAN of that type (RFC 5280 4.2.1.10). */
export function emailAddressesOf(name: Uint8Array): readonly string[] {
  return readSequence(name, 'name').flatMap((rdn) =>
    readChildren(rdn.value, 'name').flatMap((attribute) => {
      const [type, value] = readChildren(attribute.value, 'name')
      return readOid(type, 'name') === NameOid.E ? [readText(value, 'emailAddress')] : []
    }),
  )
}

function readable(name: Uint8Array): ComparableName {
  try {
    return canonicalRdns(name)
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}
