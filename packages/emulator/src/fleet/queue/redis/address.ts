import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { AgentError } from '@certfleet/agent-core'
import { InputError } from '../../../scenario/input-error.ts'

/** Where a Redis is, and as whom it is called. */
export interface RedisAddress {
  readonly host: string
  readonly port: number
  readonly db: number
  readonly isTls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  /** For messages: without the password. */
  readonly shown: string
}

/** Of a `redis:` or `rediss:` URL, for example `redis://:password@host:6379/0`. Anything else is `InputError`, which does not show it. */
export function redisAddress(text: string, password: string | undefined): RedisAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const [username, ofUrl] = [url?.username ?? '', url?.password ?? ''].map(decoded)
  const db = /^\/?(\d{0,4})$/.exec(url?.pathname ?? '-')?.[1]
  if (
    !url ||
    db === undefined ||
    !['redis:', 'rediss:'].includes(url.protocol) ||
    url.hostname === '' ||
    url.search !== '' ||
    url.hash !== '' ||
    username === undefined ||
    ofUrl === undefined
  ) {
    throw new InputError('the address of the queue is no URL like redis://host:6379 or rediss://host:6379/0')
  }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? 6379 : Number(url.port)
  return {
    host,
    port,
    db: Number(db),
    isTls: url.protocol === 'rediss:',
    username: username || undefined,
    password: password ?? (ofUrl || undefined),
    shown: `${url.protocol}//${url.hostname}:${port}${db === '' ? '' : `/${db}`}`,
  }
}

/** Undefined where it was not encoded well. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/**
 * Refuses (`InputError`) a Redis without TLS on a host of which any address is public: password and traffic would go over it in the clear.
 * A name that nobody knows is `ERR_NETWORK`.
 */
export async function refusePublic({ host, isTls, shown }: RedisAddress): Promise<void> {
  if (isTls) return
  const addresses = isIP(host) ? [host] : await addressesOf(host, shown)
  const found = addresses.find((address) => !isNear(address))
  if (found === undefined) return
  const of = found === host ? '' : ` (${found})`
  throw new InputError(`${shown}${of} is a public address and has no TLS; use rediss://, or say --allow-plain-queue`)
}

async function addressesOf(host: string, shown: string): Promise<readonly string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address)
  } catch (error) {
    throw new AgentError('ERR_NETWORK', `no Redis at ${shown}: the name is not known (${(error as NodeJS.ErrnoException).code})`)
  }
}

/** Loopback, RFC 1918, RFC 6598, RFC 4193, link-local. */
const near = new BlockList()
for (const [network, prefix] of [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
] as const) {
  near.addSubnet(network, prefix, 'ipv4')
}
near.addAddress('::1', 'ipv6')
near.addSubnet('fc00::', 7, 'ipv6')
near.addSubnet('fe80::', 10, 'ipv6')

/** Whether what goes there stays on this machine or in a private network. */
export function isNear(address: string): boolean {
  return near.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')
}
