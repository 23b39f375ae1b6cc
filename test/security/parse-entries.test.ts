import { AgentError, modelledTpm, noLatency, parseDistinguishedName, parsePolicy, tpmManufacturer } from '@certfleet/agent-core'
import { normaliseBer, openCertificatesOnly, openEnvelopedData, openSignedData } from '@certfleet/agent-core/cms'
import { readDer, readSequence } from '@certfleet/agent-core/der'
import { openPfx } from '@certfleet/agent-core/pfx'
import {
  decodeName,
  decodeSubjectAltNames,
  formatName,
  importPublicKey,
  parseCertificate,
  parseCrl,
  parseCsr,
  parseOcspRequest,
} from '@certfleet/agent-core/pki'
import {
  openPkiRequest,
  parseCaCertificates,
  parseCapabilities,
  parseCertRep,
  parseNextCaCertificates,
  verifyPkiRequest,
} from '@certfleet/agent-core/scep/messages'
import { verifyKeyAttestation } from '@certfleet/emulator/lab'
import { parseOs, readDeliveryFile, readMobileconfig, readSyncMl, readXml } from '@certfleet/platforms'
import t, { type Test } from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { FakeClock } from '../fakes/clock.ts'
import { hostileBytes, hostileTexts } from './hostile-bytes.ts'
import { hostileMarkup } from './hostile-markup.ts'

const key = await testKey('device')
const certificate = parseCertificate(await testCertificate({ subject: 'CN=dev', key }))
const recipient = { certificate, key }
const nonce = new Uint8Array(16)
const clock = new FakeClock(Date.UTC(2027, 0, 1))
const manufacturer = tpmManufacturer(clock)
const tpm = modelledTpm({ clock, latency: noLatency, manufacturer })
const { publicKey } = await tpm.generate({ algorithm: 'ec', curve: 'P-256' }, 'attested')
const attestation = await tpm.attest('attested', nonce)
const attestationCheck = { publicKey, nonce, manufacturerRoot: await manufacturer.root(), at: clock.now() }

const markup = hostileMarkup(certificate.raw)

const byteEntries: Record<string, (bytes: Uint8Array) => unknown> = {
  readDer,
  readSequence: (bytes) => readSequence(bytes, 'value'),
  normaliseBer,
  parseCertificate,
  parseCsr,
  parseCrl,
  decodeName,
  formatName,
  decodeSubjectAltNames,
  importPublicKey,
  openSignedData: (bytes) => openSignedData(bytes, { signers: 'enclosed' }),
  'openSignedData by a pinned signer': (bytes) => openSignedData(bytes, { signers: [certificate] }),
  openCertificatesOnly,
  openEnvelopedData: (bytes) => openEnvelopedData(bytes, { recipients: [recipient] }),
  parseCaCertificates,
  parseNextCaCertificates: (bytes) => parseNextCaCertificates(bytes, { signers: [certificate] }),
  parseCertRep: (bytes) => parseCertRep(bytes, { signers: [certificate], transactionId: 'T', senderNonce: nonce, recipient }),
  verifyPkiRequest,
  openPkiRequest: (envelope) =>
    openPkiRequest(
      { messageType: 'PKCSReq', transactionId: 'T', senderNonce: nonce, signer: certificate, hash: 'sha256', envelope },
      { recipients: [recipient] },
    ),
  parsePolicy: (bytes) => parsePolicy(bytes),
  parseOcspRequest,
  readDeliveryFile: (bytes) => readDeliveryFile(bytes),
  openPfx: (bytes) => openPfx(bytes, { password: 'guess', legacy: true }),
  verifyKeyAttestation: (bytes) =>
    verifyKeyAttestation({ publicArea: bytes, statement: bytes, signature: bytes, certificates: [bytes] }, attestationCheck),
  'verifyKeyAttestation, all but the statement good': (statement) => verifyKeyAttestation({ ...attestation, statement }, attestationCheck),
  'verifyKeyAttestation, all but the public area good': (publicArea) =>
    verifyKeyAttestation({ ...attestation, publicArea }, attestationCheck),
}

t.test('the good attestation is one', async () => verifyKeyAttestation(attestation, attestationCheck))

const textEntries: Record<string, (text: string) => unknown> = {
  parseDistinguishedName,
  parseCapabilities,
  parsePolicy: (text) => parsePolicy(Buffer.from(text)),
  readXml: (text) => readXml(text),
  readMobileconfig: (text) => readMobileconfig(text),
  readSyncMl: (text) => readSyncMl(text, parseOs('windows', '11')),
  'readSyncMl for Android': (text) => readSyncMl(text, parseOs('android', '15')),
}

const markupEntries: Record<string, (text: string) => unknown> = {
  readDeliveryFile: (text) => readDeliveryFile(Buffer.from(text)),
}

/** CPU time, which a busy machine does not stretch. */
const limitMs = 250

/** Runs an entry, twice where the first was slow: the collector's work is not the parser's. */
async function judge(t: Test, name: string, run: () => unknown): Promise<void> {
  const once = async () => {
    const start = process.cpuUsage()
    let problem: unknown
    try {
      await run()
    } catch (error) {
      if (!(error instanceof AgentError)) problem = error
    }
    const { user, system } = process.cpuUsage(start)
    return { problem, ms: (user + system) / 1000 }
  }
  let outcome = await once()
  for (let i = 0; i < 2 && outcome.ms > limitMs; i++) outcome = await once()
  if (outcome.problem !== undefined) t.fail(`${name}: ${String(outcome.problem)}`)
  if (outcome.ms > limitMs) t.fail(`${name}: ${Math.round(outcome.ms)} ms`)
}

for (const [entry, parse] of Object.entries(byteEntries)) {
  t.test(`${entry} gives a value or an AgentError within ${limitMs} ms, whatever the bytes`, async (t) => {
    for (const [name, bytes] of hostileBytes) await judge(t, name, () => parse(bytes))
    t.pass(`${hostileBytes.length} inputs`)
  })
}

for (const [entry, parse] of Object.entries(textEntries)) {
  t.test(`${entry} gives a value or an AgentError within ${limitMs} ms, whatever the text`, async (t) => {
    for (const [name, text] of hostileTexts) await judge(t, name, () => parse(text))
    t.pass(`${hostileTexts.length} inputs`)
  })
}

for (const [entry, parse] of Object.entries(markupEntries)) {
  t.test(`${entry} gives a value or an AgentError within ${limitMs} ms, whatever the markup`, async (t) => {
    for (const [name, text] of markup) await judge(t, name, () => parse(text))
    t.pass(`${markup.length} inputs`)
  })
}
