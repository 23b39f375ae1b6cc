import { AgentError } from '../../errors.ts'
import type { Clock } from '../../ports.ts'
import { whileBusy } from '../patience.ts'
import { type Channel, openChannel } from './channel.ts'
import type { TokenFacts } from './facts.ts'
import type { Requests } from './worker.ts'

export type Ask = <Name extends keyof Requests>(name: Name, ask: Requests[Name]['ask']) => Promise<Requests[Name]['answer']>

interface Connection {
  readonly channel: Channel
  readonly facts: TokenFacts
}

export interface TokenLogin {
  facts(): Promise<TokenFacts>
  readonly ask: Ask
  close(): Promise<void>
}

export interface TokenAccess {
  readonly module: string
  readonly token: string
  readonly pin: string
  readonly clock: Clock
}

/** The way to a thread in which the token is open; when that thread is lost, the next question opens the token in a new one. The PIN stays in here. */
export function loginTo({ module, token, pin, clock }: TokenAccess, open: (module: string) => Promise<Channel> = openChannel): TokenLogin {
  let connecting: Promise<Connection> | undefined
  let isClosed = false

  async function connect(): Promise<Connection> {
    const channel = await open(module)
    try {
      return { channel, facts: await channel.ask('open', { token, pin }) }
    } catch (error) {
      await channel.release()
      throw error
    }
  }

  async function connected(): Promise<Connection> {
    if (isClosed) throw new AgentError('ERR_KEY_STORAGE_UNAVAILABLE', `the provider of PKCS#11 token "${token}" is closed`)
    const current = connecting ?? connect()
    connecting = current
    const connection = await current.catch((error: unknown) => {
      // A PIN that was refused stays refused: asking again would lock the token.
      if (!(error instanceof AgentError && error.code === 'ERR_KEY_SECRET_REFUSED') && connecting === current) connecting = undefined
      throw error
    })
    if (connection.channel.isOpen()) return connection
    if (connecting === current) connecting = undefined
    return connected()
  }

  return {
    facts: () => whileBusy(clock, async () => (await connected()).facts),
    ask: (name, ask) => whileBusy(clock, async () => (await connected()).channel.ask(name, ask)),
    async close() {
      if (isClosed) return
      isClosed = true
      const { channel } = (await connecting?.catch(() => undefined)) ?? {}
      if (!channel?.isOpen()) return
      await channel.ask('close', { token }).finally(() => channel.release())
    },
  }
}
