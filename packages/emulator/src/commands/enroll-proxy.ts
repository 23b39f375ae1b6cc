import { AgentError, type HttpTransport, type HttpTransportOptions, httpTransport } from '@certfleet/agent-core'
import type { Command } from 'commander'
import { InputError } from '../scenario/input-error.ts'
import type { Io } from './io.ts'
import { secretIn } from './secret-input.ts'

export interface ProxyOptions {
  /** Read here and not by commander, which repeats a bad value: somebody may have put a password in it. */
  readonly proxy?: string
  readonly proxyUser?: string
  readonly proxyPasswordFile?: string
}

export function withProxy(command: Command): Command {
  return command
    .option('--proxy <url>', 'HTTP proxy that everything goes through, such as http://proxy.example.com:3128')
    .option('--proxy-user <name>', 'account at the proxy')
    .option('--proxy-password-file <file>', 'file whose first line is the password of that account (default: CERTFLEET_PROXY_PASSWORD)')
}

/** The network, through the proxy where one was named. What cannot be a proxy or its account: `InputError`. */
export async function transportBy(options: ProxyOptions, io: Io): Promise<HttpTransport> {
  const proxy = await proxyOf(options, io)
  try {
    // The URL is typed by a person, not taken from a policy.
    return httpTransport({ clock: io.clock, allowLoopback: true, allowLinkLocal: true, proxy })
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    throw new InputError(`--proxy: ${error.message}`, { cause: error })
  }
}

async function proxyOf(
  { proxy: url, proxyUser: user, proxyPasswordFile: file }: ProxyOptions,
  io: Io,
): Promise<HttpTransportOptions['proxy']> {
  if (url === undefined && user !== undefined) throw new InputError('--proxy-user is for a proxy; name one with --proxy')
  if (user === undefined && file !== undefined) throw new InputError('--proxy-password-file is for an account; name one with --proxy-user')
  if (url === undefined) return undefined
  if (user === undefined) return { url }
  const source = { option: '--proxy-password-file', io }
  const password = file === undefined ? io.env.CERTFLEET_PROXY_PASSWORD : await secretIn(file, source, "the proxy account's password")
  if (!password)
    throw new InputError('no password for the account at the proxy: set CERTFLEET_PROXY_PASSWORD or name a file with --proxy-password-file')
  return { url, credentials: { user, password } }
}
