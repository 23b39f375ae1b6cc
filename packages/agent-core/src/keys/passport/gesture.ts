import { AgentError } from '../../errors.ts'
import type { KeyVault } from '../vault.ts'
import { assertNotLockedOut, type Container, noPin, triesLeft } from './container.ts'
import { gestureTimeoutMs as defaultTimeoutMs } from './facts.ts'
import type { GestureAnswer, GesturePrompt, PassportOptions } from './options.ts'
import type { ContainerRecord } from './record.ts'

/** The way to the keys. */
export interface GestureGate {
  /** Asks for a gesture; who comes while one is asked for shares it. */
  open(purpose: GesturePrompt['purpose']): Promise<KeyVault>
  /** Asks only while the container is closed. */
  use(): Promise<KeyVault>
  /** A PIN was set or accepted: a biometric gesture will do from now on. Wipes the secret once the vault is open. */
  learn(secret: Buffer): void
  /** The secret is being replaced. */
  unlearn(): void
  /** False once the secret behind this vault has been replaced. */
  isCurrent(vault: KeyVault): boolean
  close(): void
}

export function gestureGate(
  container: Container,
  openVault: (secret: Uint8Array) => Promise<KeyVault>,
  options: PassportOptions,
): GestureGate {
  /** What this process knows. A biometric gesture opens it again; after a restart it is nothing, and the PIN is needed. */
  let known: { readonly secret: Buffer } | { readonly vault: KeyVault } | undefined
  let opened: KeyVault | undefined
  let asking: Promise<KeyVault> | undefined
  let closings = 0

  const knownVault = async (): Promise<KeyVault | undefined> => {
    if (!known || 'vault' in known) return known?.vault
    const { secret } = known
    const vault = await openVault(secret)
    secret.fill(0)
    known = { vault }
    return vault
  }
  const vaultFor = async (answer: GestureAnswer, record: ContainerRecord): Promise<KeyVault> => {
    if (answer === 'cancelled') throw unanswered(record)
    if ('pin' in answer) await container.unlock(answer.pin)
    else assertNotLockedOut(await container.read(), options.clock.now())
    const vault = await container.inTurn(knownVault)
    if (!vault) throw new AgentError('ERR_USER_ACTION_REQUIRED', `${record.user} has to enter the PIN once after a restart`)
    return vault
  }
  const ask = async (purpose: GesturePrompt['purpose']): Promise<KeyVault> => {
    const before = closings
    const record = await container.read()
    assertNotLockedOut(record, options.clock.now())
    if (!record.secret) throw noPin(record)
    const vault = await vaultFor(await answerTo(promptFor(record, purpose, options), options), record)
    if (before === closings) opened = vault
    return vault
  }
  const open = (purpose: GesturePrompt['purpose']): Promise<KeyVault> => {
    asking ??= ask(purpose).finally(() => {
      asking = undefined
    })
    return asking
  }
  const close = (): void => {
    closings++
    opened = undefined
  }
  return {
    open,
    use: async () => opened ?? open('use-key'),
    learn(secret) {
      if (known) secret.fill(0)
      else known = { secret }
    },
    unlearn() {
      close()
      known = undefined
    },
    isCurrent: (vault) => known !== undefined && 'vault' in known && known.vault === vault,
    close,
  }
}

function promptFor(record: ContainerRecord, purpose: GesturePrompt['purpose'], { promptText: text }: PassportOptions): GesturePrompt {
  const { user, containerName } = record
  return { user, containerName, purpose, triesLeft: triesLeft(record), ...(text !== undefined && { text }) }
}

/** No answer in time counts as cancelled, so that nothing waits for ever on somebody who has left. */
async function answerTo(prompt: GesturePrompt, options: PassportOptions): Promise<GestureAnswer> {
  const { clock, onGesture, gestureTimeoutMs = defaultTimeoutMs } = options
  const over = new AbortController()
  try {
    const silence = clock.sleep(gestureTimeoutMs, over.signal).then(() => 'cancelled' as const)
    return await Promise.race([silence, (async () => onGesture(prompt, over.signal))()])
  } finally {
    over.abort()
  }
}

function unanswered({ user }: ContainerRecord): AgentError {
  return new AgentError('ERR_USER_ACTION_REQUIRED', `${user} did not give the gesture that opens the Passport container`)
}
