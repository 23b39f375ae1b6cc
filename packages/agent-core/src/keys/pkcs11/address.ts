import { AgentError } from '../../errors.ts'

/** Which token, and what it is. Holds no PIN. */
export interface Pkcs11Address {
  /** Path of the PKCS#11 library. */
  readonly module: string
  /** The token's label. */
  readonly token: string
  /** `tpm` only where the address says so: no agent can tell what a token is made of. */
  readonly protection: 'pkcs11' | 'tpm'
}

const expected = 'expected pkcs11:MODULE?token=LABEL, and &protection=tpm where the token is a TPM'

/**
 * Reads `pkcs11:MODULE?token=LABEL[&protection=tpm]`, percent-encoded as an URL.
 * Anything else: `ERR_UNSUPPORTED`, with a message that repeats no value: somebody may have put a PIN in it.
 */
export function parsePkcs11Address(text: string): Pkcs11Address {
  const [, path, query] = /^pkcs11:([^?#]+)\?([^#]*)$/.exec(text) ?? []
  if (path === undefined || query === undefined) throw refused('a PKCS#11 address of another form')
  const parameters = new Map<string, string>()
  for (const parameter of query.split('&')) {
    const [name = '', ...value] = parameter.split('=')
    if (/^pin/i.test(name)) throw refused('a PIN has no place in a PKCS#11 address')
    if (name !== 'token' && name !== 'protection') throw refused('a PKCS#11 address with a parameter that is neither token nor protection')
    if (parameters.has(name)) throw refused(`a PKCS#11 address with more than one ${name}`)
    parameters.set(name, decoded(value.join('=')))
  }
  const { token = '', protection = 'pkcs11' } = Object.fromEntries(parameters)
  if (token === '') throw refused('a PKCS#11 address without a token')
  if (protection !== 'pkcs11' && protection !== 'tpm') throw refused('a PKCS#11 address with a protection that is neither pkcs11 nor tpm')
  return { module: decoded(path), token, protection }
}

/** The key as other PKCS#11 software names it (RFC 7512): `pkcs11:token=dev0;object=certfleet%2Fk1;type=private`. */
export function formatPkcs11Uri({ token, object }: { token: string; object: string }): string {
  return `pkcs11:token=${encodeURIComponent(token)};object=${encodeURIComponent(object)};type=private`
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw refused('a PKCS#11 address with a broken percent-encoding')
  }
}

function refused(what: string): AgentError {
  return new AgentError('ERR_UNSUPPORTED', `${what}; ${expected}`)
}
