import { lookup as resolve } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { AgentError } from '../errors.ts'

/** Which addresses near the device a transport may reach. */
export interface LocalAddresses {
  /** 127.0.0.0/8, ::1, and the unspecified addresses, which reach the same. Default false. */
  readonly allowLoopback?: boolean
  /** 169.254.0.0/16, fe80::/10, and where clouds answer with credentials of the machine. Default false. */
  readonly allowLinkLocal?: boolean
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addSubnet('0.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')
loopback.addAddress('::', 'ipv6')

const linkLocal = new BlockList()
linkLocal.addSubnet('169.254.0.0', 16, 'ipv4')
linkLocal.addSubnet('fe80::', 10, 'ipv6')
/** Metadata services that are not at 169.254.169.254. */
linkLocal.addAddress('100.100.100.200', 'ipv4')
linkLocal.addAddress('fd00:ec2::254', 'ipv6')

/** IPv6 prefixes of 96 bits behind which an IPv4 address stands (RFC 4291 2.5.5, RFC 6052 2.1). */
const embedding = new BlockList()
embedding.addSubnet('::', 96, 'ipv6')
embedding.addSubnet('::ffff:0:0', 96, 'ipv6')
embedding.addSubnet('::ffff:0:0:0', 96, 'ipv6')
embedding.addSubnet('64:ff9b::', 96, 'ipv6')

/** What keeps an address from being asked, for a message; undefined where nothing does. */
export function localAddressProblem(address: string, allowed: LocalAddresses): string | undefined {
  const [bare = address] = address.split('%')
  const known = [bare, ...embeddedAddress(bare)]
  if (!allowed.allowLoopback && known.some((one) => isIn(loopback, one))) return 'a loopback address, which only allowLoopback allows'
  if (!allowed.allowLinkLocal && known.some((one) => isIn(linkLocal, one))) return 'a link-local address, which only allowLinkLocal allows'
  return undefined
}

/**
 * The system's resolver, with every answer judged: a name of which any address is local is not connected to (`ERR_NETWORK`).
 * It is asked for each connection, so that a name cannot change its address after it was judged.
 */
export function judgingLookup(allowed: LocalAddresses): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, [])
      const problem = addresses.map(({ address }) => localAddressProblem(address, allowed)).find((found) => found !== undefined)
      if (problem !== undefined) return callback(new AgentError('ERR_NETWORK', `${hostname} resolves to ${problem}`), [])
      const [first] = addresses
      if (options.all) callback(null, addresses)
      else callback(null, first?.address ?? '', first?.family)
    })
  }
}

function isIn(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')
}

/** The IPv4 address in the last 32 bits. `::` and `::1` are read as 0.0.0.0 and 0.0.0.1, which are loopback here too. */
function embeddedAddress(address: string): string[] {
  if (isIP(address) !== 6 || !embedding.check(address, 'ipv6')) return []
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1).split(':').slice(-2)
  const [high, low] = groups.map((group) => Number.parseInt(group || '0', 16)) as [number, number]
  return [`${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`]
}
