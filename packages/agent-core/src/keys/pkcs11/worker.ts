import { parentPort, workerData } from 'node:worker_threads'
import { AgentError, type AgentErrorCode } from '../../errors.ts'
import type { KeySpec } from '../../types.ts'
import type { TokenFacts } from './facts.ts'
import type { KeyName } from './key-name.ts'
import { type KnownKey, type PublicHalf, type TokenKeys, tokenKeys } from './keys.ts'
import { loadModule, type Module } from './module.ts'
import type { UnwrapRequest } from './operations.ts'
import { openToken, type Token } from './token.ts'

/** What a thread is started with. */
export interface WorkerStart {
  readonly module: string
  /** An earlier thread ended without finishing, and the library still holds its sessions. */
  readonly isLeftOver: boolean
}

/** What can be asked of the thread, and what it answers. */
export interface Requests {
  open: { ask: { token: string; pin: string }; answer: TokenFacts }
  check: { ask: { token: string }; answer: undefined }
  generate: { ask: { token: string; name: KeyName; spec: KeySpec }; answer: PublicHalf }
  find: { ask: { token: string; name: KeyName }; answer: PublicHalf | undefined }
  list: { ask: { token: string; namespace: string }; answer: readonly string[] }
  destroy: { ask: { token: string; name: KeyName }; answer: undefined }
  sign: { ask: { token: string; key: KnownKey; digest: Uint8Array }; answer: Uint8Array }
  unwrap: { ask: { token: string; key: KnownKey; request: UnwrapRequest }; answer: Uint8Array }
  close: { ask: { token: string }; answer: undefined }
  finish: { ask: Record<string, never>; answer: undefined }
}

export interface Question<Name extends keyof Requests = keyof Requests> {
  readonly id: number
  readonly name: Name
  readonly ask: Requests[Name]['ask']
}

export type Answer =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly failure: { readonly code: AgentErrorCode; readonly message: string } }
  /** Not foreseen: what the stack says. */
  | { readonly id: number; readonly bug: string }

interface Opened {
  readonly token: Token
  readonly keys: TokenKeys
  users: number
}

type Handlers = { [Name in keyof Requests]: (ask: Requests[Name]['ask'], module: Module) => Requests[Name]['answer'] }

const tokens = new Map<string, Opened>()

const handlers: Handlers = {
  open({ token: label, pin }, module) {
    const known = tokens.get(label)
    if (known && !known.token.isPin(pin))
      throw new AgentError('ERR_KEY_SECRET_REFUSED', `PKCS#11 token "${label}" is open with another PIN`)
    const opened = known ?? newlyOpened(openToken(module, label, pin))
    opened.users += 1
    tokens.set(label, opened)
    return opened.token.facts
  },
  check({ token }) {
    openedToken(token).token.check()
    return undefined
  },
  generate: ({ token, name, spec }) => openedToken(token).keys.generate(name, spec),
  find: ({ token, name }) => openedToken(token).keys.find(name),
  list: ({ token, namespace }) => openedToken(token).keys.list(namespace),
  destroy({ token, name }) {
    openedToken(token).keys.destroy(name)
    return undefined
  },
  // A copy: a message takes along all the memory that a Buffer is a part of.
  sign: ({ token, key, digest }) => new Uint8Array(openedToken(token).keys.sign(key, digest)),
  unwrap: ({ token, key, request }) => new Uint8Array(openedToken(token).keys.unwrap(key, request)),
  close({ token: label }) {
    const opened = openedToken(label)
    opened.users -= 1
    if (opened.users > 0) return undefined
    tokens.delete(label)
    opened.token.close()
    return undefined
  },
  finish(_ask, { finish }) {
    finish()
    return undefined
  },
}

function newlyOpened(token: Token): Opened {
  return { token, keys: tokenKeys(token), users: 0 }
}

function openedToken(label: string): Opened {
  const opened = tokens.get(label)
  if (!opened) throw new Error(`token "${label}" was never opened`)
  return opened
}

function failureOf(error: unknown): { failure: { code: AgentErrorCode; message: string } } | { bug: string } {
  if (error instanceof AgentError) return { failure: { code: error.code, message: error.message } }
  return { bug: error instanceof Error ? String(error.stack) : String(error) }
}

const { module: path, isLeftOver } = workerData as WorkerStart
const loading = loadModule(path, isLeftOver)
// Whoever asks hears of it.
loading.catch(() => undefined)

parentPort?.on('message', async ({ id, name, ask }: Question) => {
  const answer = await loading
    .then((module) => ({ answer: (handlers[name] as (ask: unknown, module: Module) => unknown)(ask, module) }))
    .catch(failureOf)
  parentPort?.postMessage({ id, ...answer })
})
