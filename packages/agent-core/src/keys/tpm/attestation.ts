import { AgentError } from '../../errors.ts'
import type { KeyHandle } from '../../ports.ts'
import { keyHandle } from '../key-handle.ts'
import { generatePrivateKey } from '../software.ts'
import type { TpmManufacturer } from './manufacturer.ts'
import { certifyStatement, hierarchy, nameOf, publicArea, qualifiedNameOf } from './structures.ts'

/** A TPM's word that it holds a key which never leaves it, in the structures of TPM 2.0 Part 2. It holds no secret. */
export interface KeyAttestation {
  /** TPMT_PUBLIC of the key. */
  readonly publicArea: Uint8Array
  /** TPMS_ATTEST of type certify: what was signed. */
  readonly statement: Uint8Array
  /** By the attestation key over `statement`: ECDSA with SHA-256, DER. */
  readonly signature: Uint8Array
  /** The attestation key's certificate, then those of its issuers, DER; the manufacturer's root is left out. */
  readonly certificates: readonly Uint8Array[]
}

/** The key by which one TPM speaks, and who vouches for it. */
export interface AttestationKey {
  readonly key: KeyHandle
  readonly qualifiedName: Uint8Array
  readonly certificates: readonly Uint8Array[]
}

/** TPM2B_DATA holds at most a digest of the largest hash and its name; 64 octets fit every TPM 2.0 that knows SHA-512. */
export const maxNonceBytes = 64

/** P-256: a fleet makes thousands. */
export const attestationKeySpec = { algorithm: 'ec', curve: 'P-256' } as const

/** Of the model, not of a chip. */
const firmwareVersion = 0x0001_0000_0000_0000n

export async function makeAttestationKey(manufacturer: TpmManufacturer): Promise<AttestationKey> {
  const key = keyHandle(await generatePrivateKey(attestationKeySpec), 'attestation key', 'tpm')
  const name = nameOf(publicArea(key.publicKey, key.spec, 'attestation'))
  return { key, qualifiedName: qualifiedNameOf(name, hierarchy.endorsement), certificates: await manufacturer.certify(key.publicKey) }
}

/** Certifies a key as a primary object of the owner's hierarchy. */
export async function certifyKey(subject: KeyHandle, signer: AttestationKey, nonce: Uint8Array, clockMs: number): Promise<KeyAttestation> {
  const area = publicArea(subject.publicKey, subject.spec, 'key')
  const name = nameOf(area)
  const qualifiedName = qualifiedNameOf(name, hierarchy.owner)
  const statement = certifyStatement({ qualifiedSigner: signer.qualifiedName, nonce, clockMs, firmwareVersion, name, qualifiedName })
  return { publicArea: area, statement, signature: await signer.key.sign(statement, 'sha256'), certificates: signer.certificates }
}

export function assertNonce(nonce: Uint8Array): void {
  if (nonce.length < 1 || nonce.length > maxNonceBytes)
    throw new AgentError('ERR_UNSUPPORTED', `a nonce of ${nonce.length} octets, expected 1 to ${maxNonceBytes}`)
}
