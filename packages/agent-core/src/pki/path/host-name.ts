import { isIP } from 'node:net'
import type { GeneralName } from '../certificate-extensions.ts'

/**
 * RFC 9525 6.3: an IP address equals an iPAddress SAN; a DNS name equals a dNSName SAN, or matches its wildcard,
 * which stands for exactly the whole leftmost label. The subject's common name is never looked at.
 */
export function matchesHostName(subjectAltNames: readonly GeneralName[] | undefined, hostname: string): boolean {
  const names = subjectAltNames ?? []
  if (isIP(hostname)) {
    const address = ipOctets(hostname)
    return names.some((name) => name.type === 'ip' && Buffer.compare(name.value, address) === 0)
  }
  const host = hostname.toLowerCase()
  if (!isDnsName(host)) return false
  return names.some((name) => name.type === 'dns' && matchesDnsName(name.value.toLowerCase(), host))
}

function matchesDnsName(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === host
  const base = pattern.slice(2)
  const dot = host.indexOf('.')
  return base.includes('.') && isDnsName(base) && dot > 0 && host.slice(dot + 1) === base
}

/** RFC 1034 3.5 as RFC 1123 2.1 relaxed it: labels of letters, digits and inner hyphens. No underscore, no trailing dot. */
export function isDnsName(text: string): boolean {
  return text.length <= 253 && /^(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*$/i.test(text)
}

/** 4 or 16 octets. `address` is one that `isIP` takes. */
function ipOctets(address: string): Uint8Array {
  if (isIP(address) === 4) return Uint8Array.from(address.split('.').map(Number))
  const [head = '', tail] = (address.split('%')[0] as string).split('::')
  const front = groupsOf(head)
  const back = groupsOf(tail ?? '')
  return Uint8Array.from([...front, ...new Array(16 - front.length - back.length).fill(0), ...back])
}

function groupsOf(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}
