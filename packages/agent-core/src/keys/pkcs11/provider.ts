import { randomBytes } from 'node:crypto'
import { AgentError } from '../../errors.ts'
import type { Clock, KeyReadiness, KeyStorageProvider } from '../../ports.ts'
import type { KeySpec } from '../../types.ts'
import { describeSpec } from '../choice.ts'
import { assertKeyLabel, isKeyLabel } from '../vault.ts'
import type { TokenFacts } from './facts.ts'
import { tokenKeyHandle } from './handle.ts'
import { loginTo } from './login.ts'

export interface Pkcs11Options {
  /** Path of the PKCS#11 library. */
  readonly module: string
  /** The token's label. */
  readonly token: string
  /** The user's PIN. It is tried once, and after a refusal never again. */
  readonly pin: string
  /** Waits while the token is busy. */
  readonly clock: Clock
  /** Keeps the keys of several agents on one token apart. 1 to 64 printable ASCII characters. Default `certfleet`. */
  readonly namespace?: string
  /** `tpm` only of a token that is one: the agent cannot tell. Default `pkcs11`. */
  readonly protection?: 'pkcs11' | 'tpm'
}

export interface Pkcs11Keys extends KeyStorageProvider {
  /** Logs out, and ends the library's thread where nobody else uses it. Whatever is asked afterwards: `ERR_KEY_STORAGE_UNAVAILABLE`. */
  close(): Promise<void>
}

/**
 * Keys on a PKCS#11 v2.40 token. They are made there, sensitive and not extractable, and the token's own word for that is read back.
 * RSA of whole 1024 bits, 1024 to 8192, within the token's bounds, P-256 and P-384 where it has them.
 *
 * Logs in at once: a wrong PIN is `ERR_KEY_SECRET_REFUSED`, a token with one try left too; a locked one `ERR_KEY_STORAGE_LOCKED_OUT`.
 * No such library or token, or the package `pkcs11js` not installed: `ERR_KEY_STORAGE_UNAVAILABLE`. Options out of range: `ERR_UNSUPPORTED`.
 *
 * One thread a library does all its work. Sessions, logins and tokens that were lost are found again, by a new start of the library too:
 * who uses the same library in this process besides initialises it first, and then it is never finished or started anew here.
 */
export async function pkcs11Keys(options: Pkcs11Options): Promise<Pkcs11Keys> {
  const { token, namespace = 'certfleet', protection = 'pkcs11' } = options
  checkOptions(options, namespace)
  const login = loginTo(options)
  const facts = await login.facts()
  const name = `PKCS#11 token "${token}" (${facts.manufacturer})`
  const secret = randomBytes(32)
  const handleOn = tokenKeyHandle({ token, namespace, protection, pkcs1: facts.pkcs1, secret, ask: login.ask })

  const unsupported = (spec: KeySpec) => `${name} makes no ${describeSpec(spec)} keys`
  return {
    protection,
    name,
    async readiness({ spec }) {
      if (!supports(facts, spec)) return { state: 'unsupported', message: unsupported(spec) }
      try {
        await login.ask('check', { token })
        return { state: 'ready' }
      } catch (error) {
        return unreadiness(error)
      }
    },
    async generate(spec, label) {
      assertKeyLabel(label)
      if (!supports(facts, spec)) throw new AgentError('ERR_UNSUPPORTED', unsupported(spec))
      return handleOn(label, await login.ask('generate', { token, name: { namespace, label }, spec }))
    },
    async open(label) {
      if (!isKeyLabel(label)) return undefined
      const found = await login.ask('find', { token, name: { namespace, label } })
      return found && handleOn(label, found)
    },
    list: () => login.ask('list', { token, namespace }),
    destroy: (label) => login.ask('destroy', { token, name: { namespace, label } }),
    close: login.close,
  }
}

function checkOptions({ module, token, pin }: Pkcs11Options, namespace: string): void {
  const refuse = (what: string) => {
    throw new AgentError('ERR_UNSUPPORTED', `a PKCS#11 token needs ${what}`)
  }
  if (module === '') refuse('the path of its library')
  if (token === '') refuse('a label')
  if (typeof pin !== 'string' || pin === '') refuse('a PIN')
  if (!/^[\x20-\x7e]{1,64}$/.test(namespace)) refuse('a namespace of 1 to 64 printable ASCII characters')
}

/** A token tells its bounds and not what it makes between them; whole 1024 bits are what all of them make, and above 8192 it takes minutes. */
function supports({ rsaBits, curves }: TokenFacts, spec: KeySpec): boolean {
  if (spec.algorithm === 'ec') return curves.includes(spec.curve)
  return (
    rsaBits !== undefined && spec.bits >= Math.max(1024, rsaBits.min) && spec.bits <= Math.min(rsaBits.max, 8192) && spec.bits % 1024 === 0
  )
}

const stateByCode = {
  ERR_KEY_STORAGE_UNAVAILABLE: 'absent',
  ERR_KEY_STORAGE_BUSY: 'busy',
  ERR_KEY_STORAGE_LOCKED_OUT: 'locked-out',
  ERR_KEY_STORAGE_FULL: 'full',
} as const

/** A refused PIN is no state of the token, and stays the failure that it is. */
function unreadiness(error: unknown): KeyReadiness {
  const state =
    error instanceof AgentError
      ? (stateByCode as Readonly<Record<string, 'absent' | 'busy' | 'locked-out' | 'full'>>)[error.code]
      : undefined
  if (state === undefined) throw error
  return { state, message: (error as AgentError).message }
}
