import { isIP } from 'node:net'

/** The 4 or 16 octets of an address that `isIP` takes. */
export function addressOctets(address: string): Uint8Array {
  if (isIP(address) === 4) return Uint8Array.from(address.split('.').map(Number))
  // The URL parser writes an embedded IPv4 address as two groups.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const front = groups(head)
  const back = groups(tail ?? '')
  return Buffer.concat([Buffer.from(front), Buffer.alloc(16 - front.length - back.length), Buffer.from(back)])
}

function groups(text: string): number[] {
  return text === '' ? [] : text.split(':').flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff])
}
