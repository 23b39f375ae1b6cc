import type { AgentErrorCode } from '@certfleet/agent-core'
import type { Fact } from '../fact.ts'

/** Apple's codes with what they mean in our words. Each range is a domain of its own. */
export const appleErrorTexts = {
  1000: 'the profile is malformed',
  1009: 'the profile could not be installed',
  2002: 'a field of the payload is missing',
  2004: 'a value in the payload is not supported',
  4001: 'the profile could not be installed',
  4004: 'the user cancelled the installation',
  4009: 'the device is locked',
  9000: 'the password of the certificate is wrong',
  9004: 'the root certificate could not be stored',
  9005: 'the certificate is malformed',
  22000: 'the key usage is invalid',
  22001: 'the key pair could not be generated',
  22002: 'the response of the CA is invalid',
  22003: 'the response of the RA is invalid',
  22004: 'the certificate configuration is not supported',
  22005: 'the network failed',
  22006: 'the capabilities of the CA are insufficient',
  22007: 'the signed certificate is invalid',
  22008: 'the identity could not be created',
  22009: 'the temporary identity could not be created',
  22010: 'the temporary identity could not be stored',
  22011: 'the request could not be generated',
  22012: 'the certificate of the CA could not be stored',
  22013: 'the response to PKIOperation is invalid',
} as const

export type AppleErrorCode = keyof typeof appleErrorTexts

/** JavaScript gives the keys in ascending order. */
const codes = Object.keys(appleErrorTexts).map(Number) as readonly AppleErrorCode[]

const domains = [
  [22_000, 'MCSCEPErrorDomain'],
  [9000, 'MCCertificateErrorDomain'],
  [4000, 'MCInstallationErrorDomain'],
  [2000, 'MCPayloadErrorDomain'],
  [1000, 'MCProfileErrorDomain'],
] as const

export type AppleErrorDomain = (typeof domains)[number][1]

export function domainOf(code: number): AppleErrorDomain {
  return (domains.find(([first]) => code >= first) ?? domains[4])[1]
}

/** The codes are Apple's, who says not to depend on them; what leads to which is inferred. */
const row = <const Code extends AppleErrorCode>(value: Code, effect: string, source = `A-ERR ${domainOf(value)}`) =>
  ({
    id: `apple.error.${value}`,
    platforms: ['ios', 'macos'],
    effect,
    value: value as AppleErrorCode,
    alternatives: codes.filter((code) => code !== value),
    source,
    confidence: 'I',
  }) as const satisfies Fact<AppleErrorCode>

export const appleErrors = {
  malformed: row(1000, 'A policy that cannot be read is a malformed profile.'),
  notInstalled: row(1009, 'What no other code fits ends in the install failure of the profile, with nothing inside.'),
  fieldMissing: row(2002, 'A variable that cannot be resolved leaves a field of the payload missing.'),
  valueUnsupported: row(2004, 'A profile that cannot be followed has a value in its payload that is not supported.'),
  userCancelled: row(4004, 'What waits on a user who does not act ends as if the user had cancelled.'),
  locked: row(4009, 'What needs an unlocked device fails with the code for a locked one.', 'A-ERR MCInstallationErrorDomain 4009'),
  pfxPassword: row(9000, 'A password that does not open the PFX.'),
  rootNotStored: row(9004, 'A root that is to be there and is not could not be stored.'),
  certificateMalformed: row(9005, 'A certificate or PFX that cannot be read, or that no store takes.'),
  keyUsage: row(
    22000,
    'A Key Usage with bits other than 1 and 4.',
    'A-DM com.apple.security.scep Key Usage; A-ERR MCSCEPErrorDomain 22000',
  ),
  keyPair: row(22001, 'A key that cannot be made.'),
  caResponse: row(22002, 'Certificates of GetCACert that do not lead to what the profile trusts.'),
  configuration: row(22004, 'A setting that this device never follows.'),
  network: row(22005, 'A server that is not reached, or whose TLS certificate does not stand.'),
  capabilities: row(22006, 'A CA without a digest or cipher that the device takes.', 'MICROMDM scep#23; A-ERR MCSCEPErrorDomain 22006'),
  signedCertificate: row(22007, 'A certificate that is for another key or name, or that does not lead to the root.'),
  identity: row(22008, 'A certificate whose private key cannot be used.'),
  request: row(22011, 'A request that cannot be made because its challenge is not to be had.'),
  operationResponse: row(22013, 'A reply to PKIOperation that is a refusal, is nobody of use, or never comes.'),
} as const satisfies Record<string, Fact<AppleErrorCode>>

/** Of each failure that certfleet foresees. */
export const appleErrorByCode = {
  ERR_ALGORITHM_REFUSED: 'capabilities',
  ERR_CA_UNTRUSTED: 'caResponse',
  ERR_CERTIFICATE_MISMATCH: 'signedCertificate',
  ERR_CERTIFICATE_REFUSED: 'certificateMalformed',
  ERR_CERTIFICATE_UNTRUSTED: 'signedCertificate',
  ERR_CHALLENGE_UNAVAILABLE: 'request',
  ERR_CLOCK_SKEW: 'operationResponse',
  ERR_CMS_DECRYPT: 'operationResponse',
  ERR_CMS_INVALID: 'operationResponse',
  ERR_DER_MALFORMED: 'operationResponse',
  ERR_DEVICE_LOCKED: 'locked',
  ERR_ENROLLMENT_REJECTED: 'operationResponse',
  ERR_HTTP_STATUS: 'operationResponse',
  ERR_KEY_EXISTS: 'keyPair',
  ERR_KEY_SECRET_REFUSED: 'identity',
  ERR_KEY_STORAGE_BUSY: 'keyPair',
  ERR_KEY_STORAGE_FULL: 'keyPair',
  ERR_KEY_STORAGE_LOCKED_OUT: 'keyPair',
  ERR_KEY_STORAGE_UNAVAILABLE: 'keyPair',
  ERR_KEY_UNAVAILABLE: 'identity',
  ERR_LIMIT_EXCEEDED: 'operationResponse',
  ERR_NETWORK: 'network',
  ERR_PENDING_TIMEOUT: 'operationResponse',
  ERR_PFX_INVALID: 'certificateMalformed',
  ERR_PFX_PASSWORD: 'pfxPassword',
  ERR_PFX_UNAVAILABLE: 'notInstalled',
  ERR_POLICY_INVALID: 'malformed',
  ERR_POLICY_ROLLBACK: 'notInstalled',
  ERR_PROFILE_INVALID: 'valueUnsupported',
  ERR_RENEWAL_MISSED: 'notInstalled',
  ERR_ROOT_NOT_DEPLOYED: 'notInstalled',
  ERR_ROOT_NOT_INSTALLED: 'rootNotStored',
  ERR_SCEP_MALFORMED: 'operationResponse',
  ERR_SCEP_REPLY_MISMATCH: 'operationResponse',
  ERR_STATE_BUSY: 'notInstalled',
  ERR_STATE_INVALID: 'notInstalled',
  ERR_STATE_IO: 'notInstalled',
  ERR_UNAUTHORIZED: 'network',
  ERR_UNSUPPORTED: 'configuration',
  ERR_USER_ACTION_REQUIRED: 'userCancelled',
  ERR_VARIABLE_UNRESOLVED: 'fieldMissing',
} as const satisfies Record<AgentErrorCode, keyof typeof appleErrors>
