import { isObject } from './json.ts'

/**
 * The Graph PowerShell SDK through `ConvertTo-Json`: members begin in upper case, and those of the derived type stand in
 * `AdditionalProperties`. Everything else stays as it is.
 */
export function withoutSdkWrapping(value: unknown): unknown {
  if (Array.isArray(value)) return value.some(isObject) ? value.map(withoutSdkWrapping) : value
  if (!isObject(value) || !isObject(value.AdditionalProperties)) return value
  const { AdditionalProperties, ...own } = value
  const renamed = Object.entries(own).map(([name, member]) => [name.slice(0, 1).toLowerCase() + name.slice(1), withoutSdkWrapping(member)])
  return { ...Object.fromEntries(renamed), ...AdditionalProperties }
}

const cut =
  /^(?:System\.(?:Object|Collections|Management)[\w.]*(?:`\d\[[\w.,[\]]*\])?(?:\[\])?|Microsoft\.Graph\.[\w.]*Models\.\w+(?:\[\])?|@\{\w.*\})$/s

/** The places of what `ConvertTo-Json` left out: below its depth it writes the type, or `@{name=…}`, instead of the value. */
export function cutPlaces(members: Readonly<Record<string, unknown>>): (readonly PropertyKey[])[] {
  const places: (readonly PropertyKey[])[] = []
  const visit = (value: unknown, place: readonly PropertyKey[]): void => {
    if (typeof value === 'string') {
      if (places.length < maxPlaces && value.length <= maxCharacters && cut.test(value)) places.push(place)
    } else for (const [key, member] of membersOf(value)) visit(member, [...place, key])
  }
  visit(members, [])
  return places
}

function membersOf(value: unknown): Iterable<readonly [PropertyKey, unknown]> {
  if (Array.isArray(value)) return value.entries()
  return isObject(value) ? Object.entries(value) : []
}

const maxPlaces = 100
const maxCharacters = 10_000
