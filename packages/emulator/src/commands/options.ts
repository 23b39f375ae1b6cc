import { isIP, isIPv6 } from 'node:net'
import { AgentError } from '@certfleet/agent-core'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { InputError } from '../scenario/input-error.ts'
import { parseSeed, type Seed } from '../scenario/schema.ts'

export interface LegacyOptions {
  readonly legacyDes: boolean
  readonly legacySha1: boolean
}

/** The two switches for peers that speak nothing better; off by default. */
export function withLegacy(command: Command, des: string, sha1: string): Command {
  return command.addOption(new Option('--legacy-des', des).default(false)).addOption(new Option('--legacy-sha1', sha1).default(false))
}

/** Reads a whole number in decimal digits, `min` to `max`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d{1,10}$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`)
    return value
  }
}

/** Reads an IP address that URLs can name: one that stands for all addresses says to nobody where to connect to. */
export function addressOption(text: string): string {
  const url = `http://${isIPv6(text) ? `[${text}]` : text}`
  if (isIP(text) === 0 || !URL.canParse(url)) throw new InvalidArgumentError('Expected an IP address of this machine, such as 10.0.0.5.')
  if (wildcards.includes(new URL(url).hostname))
    throw new InvalidArgumentError('It stands for all addresses, and others cannot connect to it; name the one that they reach.')
  return text
}

const wildcards: readonly string[] = ['0.0.0.0', '[::]', '[::ffff:0:0]']

export function seedOption(text: string): Seed {
  const seed = parseSeed(text)
  if (seed === undefined) throw new InvalidArgumentError('Expected a whole number or up to 64 printable ASCII characters.')
  return seed
}

/** Does `work` on what a person gave: an `AgentError` in it means that the input is bad. */
export async function readingInput<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    throw new InputError(error.message, { cause: error })
  }
}
