import type { SubjectAltName } from '@certfleet/agent-core'
import {
  type CertificateRequest,
  ExtensionOid,
  importPublicKey,
  nameDer,
  PurposeOid,
  readSubjectAltNames,
  sameName,
} from '@certfleet/agent-core/pki'
import { profileFacts, says, validationFacts } from '@certfleet/platforms'
import { sha256Hex } from './digest.ts'
import type { ExpectedRequest } from './records.ts'

/** Why a request is refused: the failure codes of Intune's validation API (IRA). They are for that API and the audit, never for a device. */
export const validationCodes = says(validationFacts.codes, {})

export type ValidationCode = (typeof validationCodes)[number]

const emptyNameBytes = 2

/**
 * Compares a request with what the profile makes the lab expect: subject, alternative names, key usages, purposes and
 * key length are equal, its key is one of those registered where that is asked for, and it does not ask to be a CA. `purposesImplied`: a request that names no purposes at all is
 * as good, because Apple's payload cannot carry them (A-DM). Undefined: it is as expected.
 */
export function compareRequest(csr: CertificateRequest, expected: ExpectedRequest, purposesImplied: boolean): ValidationCode | undefined {
  const names = csr.subjectAltNames.map((name) => `${name.type}:${'value' in name ? String(name.value) : ''}`)
  const purposes = csr.extendedKeyUsages
  if (csr.subject.length === emptyNameBytes && expected.subject !== '') return 'SubjectNameMissing'
  if (!sameName(csr.subject, nameDer(expected.subject))) return 'SubjectNameMismatch'
  if (names.length === 0 && expected.subjectAltNames.length > 0) return 'SubjectAltNameMissing'
  if (!sameMembers(names, expected.subjectAltNames.map(nameText))) return 'SubjectAltNameMismatch'
  if (asksToBeCa(csr) || !sameMembers(csr.keyUsages, expected.keyUsages)) return 'KeyUsageMismatch'
  if (purposes.length === 0 && expected.extendedKeyUsages.length > 0) {
    if (!purposesImplied) return 'EnhancedKeyUsageMissing'
  } else if (!sameMembers(purposes, expected.extendedKeyUsages)) return 'EnhancedKeyUsageMismatch'
  if (rsaBits(csr) !== expected.keyBits || !hasSoundKey(csr, 1024)) return 'KeyLengthMismatch'
  return expected.registeredKeys && compareKey(csr, expected.registeredKeys)
}

function compareKey({ publicKey }: CertificateRequest, registeredKeys: readonly string[]): ValidationCode | undefined {
  if (registeredKeys.length === 0) return 'AadKeyIdentifierListMissing'
  return registeredKeys.includes(sha256Hex(publicKey)) ? undefined : 'RegisteredKeyMismatch'
}

/** What a security identifier looks like as a URI name: it would tie the certificate to an account of the domain (KB5014754). */
const sidUri = says(profileFacts.strongMapping, {})

/**
 * Compares a request under a static challenge, behind which no profile stands, with the template: a subject or an alternative name,
 * names of the kinds that profiles have, digitalSignature and keyEncipherment, client authentication, a sound key; RSA-1024 is
 * for profiles that ask for it.
 */
export function checkAgainstTemplate(csr: CertificateRequest): ValidationCode | undefined {
  const names = readSubjectAltNames(csr)
  if (csr.subject.length === emptyNameBytes && names.length === 0) return 'SubjectNameMissing'
  if (names.length !== csr.subjectAltNames.length || names.some(({ value }) => value.toLowerCase().startsWith(sidUri)))
    return 'SubjectAltNameMismatch'
  if (asksToBeCa(csr) || csr.keyUsages.some((usage) => usage !== 'digitalSignature' && usage !== 'keyEncipherment'))
    return 'KeyUsageMismatch'
  if (csr.extendedKeyUsages.some((purpose) => purpose !== PurposeOid.ClientAuth)) return 'EnhancedKeyUsageMismatch'
  return hasSoundKey(csr, 2048) ? undefined : 'KeyLengthMismatch'
}

/** The basicConstraints of an end entity are an empty SEQUENCE, or the default written out. */
function asksToBeCa({ extensions }: CertificateRequest): boolean {
  const constraints = extensions.get(ExtensionOid.BasicConstraints)?.value
  return constraints !== undefined && ![endEntity, endEntityWrittenOut].some((allowed) => Buffer.compare(allowed, constraints) === 0)
}

const endEntity = Uint8Array.of(0x30, 0)
const endEntityWrittenOut = Uint8Array.of(0x30, 3, 1, 1, 0)

/** RSA of `minRsaBits` to 8192 bits with an exponent of at least 65537, P-256 or P-384. */
function hasSoundKey(csr: CertificateRequest, minRsaBits: 1024 | 2048): boolean {
  const { asymmetricKeyType, asymmetricKeyDetails } = importPublicKey(csr.publicKey)
  const { modulusLength = 0, publicExponent = 0n, namedCurve } = asymmetricKeyDetails ?? {}
  if (asymmetricKeyType === 'ec') return namedCurve === 'prime256v1' || namedCurve === 'secp384r1'
  return asymmetricKeyType === 'rsa' && modulusLength >= minRsaBits && modulusLength <= 8192 && publicExponent >= 65_537n
}

function rsaBits({ publicKey }: CertificateRequest): number | undefined {
  const { asymmetricKeyType, asymmetricKeyDetails } = importPublicKey(publicKey)
  return asymmetricKeyType === 'rsa' ? asymmetricKeyDetails?.modulusLength : undefined
}

function nameText({ type, value }: SubjectAltName): string {
  return `${type}:${value}`
}

function sameMembers(some: readonly string[], others: readonly string[]): boolean {
  return JSON.stringify([...some].sort()) === JSON.stringify([...others].sort())
}
