import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Where a secret shows: it is looked for as itself, in base64, and in hex; a member of a JWK as its octets too. */
export function leaks(secrets: readonly string[], places: ReadonlyMap<string, string>): string[] {
  const forms = secrets.flatMap((secret) => [secret, ...formsOf(Buffer.from(secret)), ...(isNumber(secret) ? numberForms(secret) : [])])
  return [...places].flatMap(([place, text]) =>
    forms.filter((form) => text.includes(form)).map((form) => `${form.slice(0, 12)}… in ${place}`),
  )
}

/** In hex, and as a run of base64 that says the same wherever in a longer text it begins. */
function formsOf(octets: Buffer): string[] {
  const runs = [0, 1, 2].map((from) => octets.subarray(from, octets.length - ((octets.length - from) % 3)).toString('base64'))
  return [octets.toString('hex'), ...runs]
}

/** A member of a JWK: it stands in a PKCS #8 as octets. */
const isNumber = (secret: string): boolean => /^[\w-]{100,}$/.test(secret)

function numberForms(secret: string): string[] {
  const octets = Buffer.from(secret, 'base64url')
  return [octets.toString('latin1'), ...formsOf(octets)]
}

/** The files of a folder and of those in it, by their path in it. */
export function filesBelow(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile())
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), 'latin1')]))
}
