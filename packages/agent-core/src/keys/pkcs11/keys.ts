import { AgentError } from '../../errors.ts'
import type { KeySpec } from '../../types.ts'
import type { Handle } from './cryptoki.ts'
import { type KeyName, objectId } from './key-name.ts'
import { type Desk, listLabels } from './objects.ts'
import { sign, type UnwrapRequest, unwrap } from './operations.ts'
import { destroyPair, findPair, generatePair, type KeyPair } from './pair.ts'
import type { Token } from './token.ts'

/** What may be known of a key. */
export interface PublicHalf {
  readonly spec: KeySpec
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
}

/** A key by its name, and by what it was when the handle on it was made. */
export interface KnownKey extends KeyName {
  readonly publicKey: Uint8Array
}

export interface TokenKeys {
  generate(name: KeyName, spec: KeySpec): PublicHalf
  find(name: KeyName): PublicHalf | undefined
  list(namespace: string): string[]
  destroy(name: KeyName): void
  sign(key: KnownKey, digest: Uint8Array): Uint8Array
  unwrap(key: KnownKey, request: UnwrapRequest): Uint8Array
}

/** The keys of one token. Where they are on it is remembered as long as the session lasts. */
export function tokenKeys(token: Token): TokenKeys {
  const bySession = new WeakMap<Handle, Map<string, KeyPair>>()

  function remember({ session }: Desk, name: KeyName, pair: KeyPair | undefined): KeyPair | undefined {
    const pairs = bySession.get(session) ?? new Map<string, KeyPair>()
    bySession.set(session, pairs)
    if (pair) pairs.set(idOf(name), pair)
    else pairs.delete(idOf(name))
    return pair
  }

  /** Another key that has taken the name since is not the one that was meant. */
  function known(desk: Desk, { publicKey, ...name }: KnownKey): KeyPair {
    const pair = bySession.get(desk.session)?.get(idOf(name)) ?? remember(desk, name, findPair(desk, name))
    if (pair?.publicKey.equals(publicKey)) return pair
    throw new AgentError('ERR_KEY_UNAVAILABLE', `the key "${name.label}" is not on its token any more`)
  }

  return {
    generate: (name, spec) => shown(generatePair(token, spec, name)) as PublicHalf,
    find: (name) => shown(token.run((desk) => remember(desk, name, findPair(desk, name)))),
    list: (namespace) => token.run((desk) => listLabels(desk, namespace)),
    destroy: (name) => destroyPair(token, name),
    sign: (key, digest) => token.run((desk) => sign(desk, known(desk, key), digest)),
    unwrap: (key, request) => unwrap(token, (desk) => known(desk, key), request),
  }
}

const idOf = (name: KeyName): string => objectId(name).toString('latin1')

function shown(pair: KeyPair | undefined): PublicHalf | undefined {
  return pair && { spec: pair.spec, publicKey: pair.publicKey }
}
