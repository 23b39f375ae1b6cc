import { createPrivateKey, randomBytes } from 'node:crypto'
import { type Clock, type PfxSource, softwareKeyHandle } from '@certfleet/agent-core'
import { buildPfx } from '@certfleet/agent-core/pfx'
import {
  authorityKeyIdentifierExtension,
  buildCertificate,
  keyIdentifierOf,
  keyUsageExtension,
  parseCertificate,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import type { TargetSetup } from '@certfleet/platforms/conformance'
import type { LabTables } from '../lab/index.ts'
import type { SharedKeys } from './keys.ts'

const dayMs = 86_400_000
/** Guessing is nothing that a check is about. */
const iterations = 1000

type Authority = LabTables['authority']

/** PKCS#12 under certificates of the lab's root: the connector of the lab makes its files alike, whatever a check wants of them. */
export function pfxFrom(
  authority: Authority,
  setup: NonNullable<TargetSetup['pfx']>,
  clock: Clock,
  keys: Pick<SharedKeys, 'drawKey'>,
): PfxSource {
  const { certificates: count = 1, algorithms = 'modern', password: told } = setup
  return {
    async pfxFor() {
      const privateKey = await keys.drawKey(2048)
      const leaf = await certificateFor(softwareKeyHandle(privateKey, 'pfx').publicKey, authority, clock)
      const password = randomBytes(16).toString('hex')
      const certificates = [leaf, authority.root.certificate].slice(0, count)
      const pfx = await buildPfx({ privateKey, certificates, password, algorithms, iterations })
      return { password: told ?? password, pfx }
    },
  }
}

function certificateFor(publicKey: Uint8Array, { root }: Authority, clock: Clock): Promise<Uint8Array> {
  const now = Math.floor(clock.now() / 1000) * 1000
  const key = createPrivateKey({ key: Buffer.from(root.privateKey), format: 'der', type: 'pkcs8' })
  return buildCertificate({
    serialNumber: Buffer.concat([Uint8Array.of(0x40), randomBytes(15)]),
    issuer: parseCertificate(root.certificate).subject,
    subject: 'CN=Ada,O=Example',
    publicKey,
    notBefore: now - 60_000,
    notAfter: now + 365 * dayMs,
    extensions: [
      keyUsageExtension(['digitalSignature', 'keyEncipherment']),
      subjectKeyIdentifierExtension(publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(parseCertificate(root.certificate).publicKey)),
    ],
    signer: softwareKeyHandle(key, 'root'),
    hash: 'sha256',
  })
}
