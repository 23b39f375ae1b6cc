import { randomBytes } from 'node:crypto'
import { explicit, oid, sequence, Tag, tlv, utf8String } from '../../der/index.ts'
import { buildCertificate } from '../../pki/build-certificate.ts'
import { ExtensionOid } from '../../pki/certificate-extensions.ts'
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  type ExtensionValue,
  extendedKeyUsageExtension,
  keyIdentifierOf,
  keyUsageExtension,
  subjectKeyIdentifierExtension,
} from '../../pki/extensions.ts'
import type { Clock, KeyHandle } from '../../ports.ts'
import { keyHandle } from '../key-handle.ts'
import { generatePrivateKey } from '../software.ts'

/** Who vouches for the attestation keys of its modelled TPMs. One serves a whole fleet. */
export interface TpmManufacturer {
  /** The certificate that a verifier trusts, DER, self-signed. */
  root(): Promise<Uint8Array>
  /** A certificate for an attestation key: leaf first, without the root, DER. `publicKey` is its SubjectPublicKeyInfo. */
  certify(publicKey: Uint8Array): Promise<readonly Uint8Array[]>
}

/** EKU of an attestation key's certificate, tcg-kp-AIKCertificate (TCG OID registry). */
const attestationKeyPurpose = '2.23.133.8.3'
/** tcg-at-tpmManufacturer, -tpmModel, -tpmVersion: `id:43464C54` is "CFLT", a vendor that no chip has. */
const deviceNames = [
  ['2.23.133.2.1', 'id:43464C54'],
  ['2.23.133.2.2', 'modelled TPM 2.0'],
  ['2.23.133.2.3', 'id:00010000'],
] as const

const p256 = { algorithm: 'ec', curve: 'P-256' } as const
const dayMs = 86_400_000
const subject = 'CN=Modelled TPM Root CA,O=certfleet'

/**
 * A manufacturer with a CA of its own on P-256, made when it is first needed and gone with the process. Its root is good for 30 years from
 * then, an attestation key's certificate for 10 from its issue, or as long as the root; both begin a day early.
 */
export function tpmManufacturer(clock: Clock): TpmManufacturer {
  let made: Promise<Authority> | undefined
  const authority = () => {
    made ??= makeAuthority(clock)
    return made
  }
  return {
    root: async () => (await authority()).root,
    async certify(publicKey) {
      const { key, notAfter } = await authority()
      const until = Math.min(clock.now() + 10 * 365 * dayMs, notAfter)
      return [await certificate(key, publicKey, attestationKeyExtensions, [clock.now() - dayMs, until], new Uint8Array([0x30, 0]))]
    },
  }
}

interface Authority {
  readonly key: KeyHandle
  readonly root: Uint8Array
  readonly notAfter: number
}

async function makeAuthority(clock: Clock): Promise<Authority> {
  const key = keyHandle(await generatePrivateKey(p256), 'modelled TPM root', 'software')
  const notAfter = clock.now() + 30 * 365 * dayMs
  const root = await certificate(key, key.publicKey, authorityExtensions, [clock.now() - dayMs, notAfter], subject)
  return { key, root, notAfter }
}

const authorityExtensions: readonly ExtensionValue[] = [
  basicConstraintsExtension({ ca: true, pathLength: 0 }),
  keyUsageExtension(['keyCertSign']),
]

/** The subject is empty and the TPM is named in a critical subjectAltName (WebAuthn Level 2, 8.3.1, after the TCG's profile). */
const attestationKeyExtensions: readonly ExtensionValue[] = [
  basicConstraintsExtension({ ca: false }),
  keyUsageExtension(['digitalSignature']),
  extendedKeyUsageExtension([attestationKeyPurpose]),
  { oid: ExtensionOid.SubjectAltName, critical: true, value: sequence(explicit(4, directoryName())) },
]

function directoryName(): Uint8Array {
  return sequence(...deviceNames.map(([type, value]) => tlv(Tag.Set, sequence(oid(type), utf8String(value)))))
}

function certificate(
  signer: KeyHandle,
  publicKey: Uint8Array,
  extensions: readonly ExtensionValue[],
  [notBefore, notAfter]: readonly [number, number],
  name: Uint8Array | string,
): Promise<Uint8Array> {
  return buildCertificate({
    serialNumber: Buffer.concat([Uint8Array.of(0x40), randomBytes(15)]),
    issuer: subject,
    subject: name,
    publicKey,
    notBefore,
    notAfter,
    extensions: [
      ...extensions,
      subjectKeyIdentifierExtension(publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(signer.publicKey)),
    ],
    signer,
    hash: 'sha256',
  })
}
