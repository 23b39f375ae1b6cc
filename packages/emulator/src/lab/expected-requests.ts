import type { PolicyFor } from './policies.ts'
import type { ExpectedRequest } from './records.ts'

export interface Expectations {
  readonly policyFor: PolicyFor
  /**
   * The keys registered for a device, one of which a request for that profile must have: SHA-256 of their SubjectPublicKeyInfo, lower-case
   * hex, as the Windows CSP's AADKeyIdentifierList has it. Undefined: any key. Default: any key, always.
   */
  readonly registeredKeysFor?: ((deviceId: string, profileId: string) => readonly string[] | undefined) | undefined
}

/** What the SCEP profile of that id makes the lab expect, a row for each principal it is delivered to; empty where the device has no such profile. */
export function expectedRequests(
  deviceId: string,
  profileId: string,
  { policyFor, registeredKeysFor }: Expectations,
): readonly ExpectedRequest[] {
  const profiles = policyFor(deviceId)?.scepProfiles.filter(({ id }) => id === profileId) ?? []
  const registeredKeys = registeredKeysFor?.(deviceId, profileId)
  return profiles.map(({ subject, subjectAltNames, keyUsages, extendedKeyUsages, keyBits, validity }) => ({
    subject,
    subjectAltNames,
    keyUsages,
    extendedKeyUsages,
    keyBits,
    validity,
    ...(registeredKeys && { registeredKeys }),
  }))
}
