import { parsePolicy } from '@certfleet/agent-core'
import { canonicalRdns, decodeName, encodeName, formatName, parseDistinguishedName } from '@certfleet/agent-core/pki'
import { chooseAlgorithms, parseCapabilities } from '@certfleet/agent-core/scep/messages'
import type { Probe } from './probe.ts'

interface TextTrial {
  readonly mutant: Uint8Array
  readonly probe: Probe
}

/** Kinds that are text, or too small to have an outer shape of their own. */
export const outerless = { distinguishedName: true, capabilities: true, policy: true, delivery: true } as const

export function name({ mutant, probe }: TextTrial): void {
  const rdns = probe.call('decodeName', () => decodeName(mutant))
  if (!rdns) return
  probe.reach('parsed')
  probe.call('formatName', () => formatName(mutant))
  probe.call('canonicalRdns', () => canonicalRdns(mutant))
}

export function distinguishedName({ mutant, probe }: TextTrial): void {
  const rdns = probe.call('parseDistinguishedName', () => parseDistinguishedName(Buffer.from(mutant).toString()))
  if (!rdns) return
  probe.reach('outerParse')
  probe.reach('parsed')
  const der = probe.call('encodeName', () => encodeName(rdns))
  if (der) probe.call('decodeName', () => decodeName(der))
}

export function capabilities({ mutant, probe }: TextTrial): void {
  const found = probe.call('parseCapabilities', () => parseCapabilities(Buffer.from(mutant).toString('latin1')))
  if (!found) return
  probe.reach('parsed')
  probe.call('chooseAlgorithms', () => chooseAlgorithms(found))
}

export function policy({ mutant, probe }: TextTrial): void {
  if (isJson(mutant)) probe.reach('outerParse')
  if (probe.call('parsePolicy', () => parsePolicy(mutant))) probe.reach('parsed')
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(Buffer.from(bytes).toString())
    return true
  } catch {
    return false
  }
}
