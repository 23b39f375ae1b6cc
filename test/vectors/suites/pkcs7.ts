import { createPrivateKey } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { softwareKeyHandle } from '@certfleet/agent-core'
import { openCertificatesOnly, openEnvelopedData, openSignedData } from '@certfleet/agent-core/cms'
import { parseCertificate } from '@certfleet/agent-core/pki'
import type { Suite, VectorCase, Verdict } from '../suite.ts'
import { pemBlocks, readVectorFile } from './files.ts'

type Blocks = ReturnType<typeof pemBlocks>

const envelopes = [
  'decrypt_test-EncryptedTestFixture',
  'decrypt_test-RSAPKCS1v15EncryptedTestFixture',
  'decrypt_test-RSAOAEPSHA1EncryptedTestFixture',
  'decrypt_test-RSAOAEPSHA256EncryptedTestFixture',
]

/** All can be read; these are the verdicts on the signatures. */
const signed: readonly { readonly file: string; readonly expected: Verdict; readonly legacySha1?: boolean; readonly because?: string }[] = [
  { file: 'ber_test-testPKCS7', expected: 'accept' },
  { file: 'verify_test-SignedTestFixture', expected: 'accept', legacySha1: true },
  { file: 'verify_test-SignedTestFixture', expected: 'refuse', because: 'SHA-1' },
  { file: 'verify_test-HashCalcSignedTestFixture', expected: 'accept', legacySha1: true },
  { file: 'verify_test-HashCalcSignedTestFixture', expected: 'refuse', because: 'SHA-1' },
  { file: 'verify_test-ApkEcdsaFixture', expected: 'refuse', because: 'no signed attributes' },
  { file: 'verify_test-AppStoreReceiptFixture', expected: 'refuse', because: 'no signed attributes' },
  { file: 'verify_test-FirefoxAddonFixture', expected: 'refuse', legacySha1: true, because: 'detached content' },
  { file: 'verify_dsa_go1.15_test-EC2IdentityDocumentFixture', expected: 'refuse', legacySha1: true, because: 'DSA' },
  // Altered by its donors: to OpenSSL too the signature is not the signer's.
  { file: 'verify_test-sampleAppleAppAttestationReceiptFixture', expected: 'refuse', because: 'signature' },
]

/** smallstep's PKCS#7 fixtures, under the rules for SCEP: what those refuse is refused here too, and each row says why. */
export const pkcs7: Suite = {
  name: 'pkcs7',
  folder: 'pkcs7',
  load(dir) {
    if (!existsSync(join(dir, 'pkcs7'))) return undefined
    const read = (file: string) => pemBlocks(readVectorFile(join(dir, 'pkcs7', `${file}.pem`)).toString('latin1'))
    return [
      ...envelopes.map((file) => envelopeCase(file, read(file))),
      ...[...new Set(signed.map(({ file }) => file))].map((file) => readableCase(file, read(file))),
      ...signed.map((row) => signatureCase(row, read(row.file))),
    ]
  },
}

function envelopeCase(file: string, blocks: Blocks): VectorCase {
  const certificate = parseCertificate(certificatesOf(blocks)[0] as Uint8Array)
  const pkcs1 = blocks.find(({ label }) => label === 'RSA PRIVATE KEY')?.der ?? new Uint8Array()
  const key = softwareKeyHandle(createPrivateKey({ key: Buffer.from(pkcs1), format: 'der', type: 'pkcs1' }), file)
  return {
    id: `pkcs7::${file}`,
    expected: 'accept',
    async run() {
      const { content } = await openEnvelopedData(messageOf(blocks), { recipients: [{ certificate, key }] })
      return Buffer.from(content).toString() === 'This is a test' ? 'accept' : 'refuse'
    },
  }
}

function readableCase(file: string, blocks: Blocks): VectorCase {
  const run = (): Verdict => {
    openCertificatesOnly(messageOf(blocks))
    return 'accept'
  }
  return { id: `pkcs7::${file}::parse only`, expected: 'accept', run }
}

function signatureCase({ file, expected, legacySha1 = false, because }: (typeof signed)[number], blocks: Blocks): VectorCase {
  const run = (): Verdict => {
    const known = certificatesOf(blocks).map(parseCertificate)
    const message = openSignedData(messageOf(blocks), { signers: known.length > 0 ? known : 'enclosed', legacySha1 })
    return message.content === undefined ? 'refuse' : 'accept'
  }
  return { id: ['pkcs7', file, ...(legacySha1 ? ['legacySha1'] : []), ...(because ? [because] : [])].join('::'), expected, run }
}

function messageOf(blocks: Blocks): Uint8Array {
  return blocks.find(({ label }) => label === 'PKCS7' || label === '')?.der ?? new Uint8Array()
}

function certificatesOf(blocks: Blocks): readonly Uint8Array[] {
  return blocks.filter(({ label }) => label === 'CERTIFICATE').map(({ der }) => der)
}
