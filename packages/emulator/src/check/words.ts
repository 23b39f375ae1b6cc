import type { Instant, Validity } from '@certfleet/agent-core'
import { PurposeOid } from '@certfleet/agent-core/pki'

/** `1 year`, `30 days`. */
export function validityText({ value, scale }: Validity): string {
  return `${value} ${value === 1 ? scale.slice(0, -1) : scale}`
}

const usageNames: ReadonlyMap<string, string> = new Map(
  [
    [PurposeOid.ServerAuth, 'server authentication'],
    [PurposeOid.ClientAuth, 'client authentication'],
    [PurposeOid.CodeSigning, 'code signing'],
    [PurposeOid.EmailProtection, 'email protection'],
    [PurposeOid.SmartCardLogon, 'smart card logon'],
    [PurposeOid.Any, 'any purpose'],
  ].map(([oid, name]) => [oid as string, name as string]),
)

/** Extended key usages by their names, where they have one. */
export function usagesText(oids: readonly string[]): string {
  return oids.map((oid) => usageNames.get(oid) ?? oid).join(', ')
}

/** `2026-11-23`, in UTC. */
export function dayText(at: Instant): string {
  return new Date(at).toISOString().slice(0, 10)
}
