import type { PolicyDocument } from '@certfleet/agent-core'
import type { ExpectedRequest } from './records.ts'

/** What the SCEP profile of that id makes the lab expect, a row for each principal it is delivered to; empty where the device has no such profile. */
export function expectedRequests(policy: PolicyDocument | undefined, profileId: string): readonly ExpectedRequest[] {
  const profiles = policy?.scepProfiles.filter(({ id }) => id === profileId) ?? []
  return profiles.map(({ subject, subjectAltNames, keyUsages, extendedKeyUsages, keyBits, validity }) => ({
    subject,
    subjectAltNames,
    keyUsages,
    extendedKeyUsages,
    keyBits,
    validity,
  }))
}
