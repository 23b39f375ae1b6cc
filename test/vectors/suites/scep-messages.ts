import { AgentError } from '@certfleet/agent-core'
import { openCertificatesOnly, openSignedData, signedAttribute } from '@certfleet/agent-core/cms'
import { readText } from '@certfleet/agent-core/der'
import { formatName, parseCsr, verifyCsr } from '@certfleet/agent-core/pki'
import { type OpenRequestRules, openPkiRequest, parseCertRep, verifyPkiRequest } from '@certfleet/agent-core/scep/messages'
import type { Suite, VectorCase, Verdict } from '../suite.ts'
import { answerRules, appleTransactionId, jscepTransactionId, type Recordings, readRecordings, signedParts } from './scep-recordings.ts'

/** The verdicts (a) to (d) on recorded SCEP messages. */
export const scepMessages: Suite = {
  name: 'scep-messages',
  folder: 'scep-messages',
  load(dir) {
    const recordings = readRecordings(dir)
    return recordings && [...appleRequests(recordings), ...certReps(recordings), ...jscepMessages(recordings)]
  },
}

/** Verdict (e): one case for each octet of the two CertReps, each of whose flips is refused or changes nothing that is signed. */
export const scepFlips: Suite = {
  name: 'scep-messages flips',
  folder: 'scep-messages',
  load(dir) {
    const recordings = readRecordings(dir)
    if (!recordings) return undefined
    const { certRep, ca, unsignedCertRep, ca2 } = recordings
    return [...flips('CertRep', certRep, [ca]), ...flips('CertRep_NoCertificatesForSigners', unsignedCertRep, [ca2])]
  },
}

function vector(id: string, expected: Verdict, run: () => boolean | Promise<boolean>): VectorCase {
  return { id: `scep-messages::${id}`, expected, run: async () => ((await run()) ? 'accept' : 'refuse') }
}

/** (a) An Apple client's request, whose CSR has version 2: taken behind the switch alone. */
function appleRequests({ appleRequests: requests, ca, caKey }: Recordings): VectorCase[] {
  const recipients = [{ certificate: ca, key: caKey }]
  return requests.flatMap(({ donor, message }) => {
    const opens = async (rules: Partial<OpenRequestRules>): Promise<boolean> => {
      const request = verifyPkiRequest(message, { legacySha1: true })
      const opened = await openPkiRequest(request, { recipients, legacySha1: true, ...rules })
      const isAsked = request.messageType === 'PKCSReq' && request.transactionId === appleTransactionId
      return isAsked && 'csr' in opened && /^CN=com\.apple\.security\.scep\./.test(formatName(opened.csr.subject))
    }
    return [
      vector(`a::${donor} PKCSReq`, 'accept', () => opens({ allowBadVersion: true })),
      vector(`a::${donor} PKCSReq without allowBadVersion`, 'refuse', () => opens({})),
      vector(`a::${donor} PKCSReq without legacySha1`, 'refuse', () => verifyPkiRequest(message).transactionId === appleTransactionId),
    ]
  })
}

/** (b) smallstep's answer, and (c) one that brings no certificate of its signer. */
function certReps({ appleRequests: [request], certRep, ca, unsignedCertRep, ca2 }: Recordings): VectorCase[] {
  const rules = answerRules(request?.message ?? new Uint8Array(), [ca])
  return [
    vector('b::CertRep', 'accept', () => isSuccess(certRep, [ca], appleTransactionId)),
    vector('b::CertRep as an answer', 'accept', () => reachesDecryption(certRep, rules)),
    vector('b::CertRep for another transaction', 'refuse', () => reachesDecryption(certRep, { ...rules, transactionId: 'another' })),
    vector('b::CertRep of a signer that is not pinned', 'refuse', () => isSuccess(certRep, [ca2], appleTransactionId)),
    vector('c::CertRep_NoCertificatesForSigners, signer unknown', 'refuse', () => signedParts(unsignedCertRep, []) !== ''),
    vector('c::CertRep_NoCertificatesForSigners, signer enclosed', 'refuse', () => {
      openSignedData(unsignedCertRep, { signers: 'enclosed', legacySha1: true })
      return true
    }),
    vector('c::CertRep_NoCertificatesForSigners, signer known', 'accept', () => isSuccess(unsignedCertRep, [ca2])),
  ]
}

/** (d) A request and its answer; the innermost ones are bare, the middle ones are encrypted to keys that are lost. */
function jscepMessages({ jscep }: Recordings): VectorCase[] {
  const signers = () => [openSignedData(jscep.scep_resp2, { signers: 'enclosed', legacySha1: true }).signer]
  const rules = () => answerRules(jscep.scep_req2, signers())
  return [
    vector('d::scep_req0', 'accept', () => {
      verifyCsr(parseCsr(jscep.scep_req0), { legacySha1: true })
      return true
    }),
    vector('d::scep_resp0', 'accept', () => openCertificatesOnly(jscep.scep_resp0).certificates.length === 1),
    vector('d::scep_req2', 'accept', () => {
      const { messageType, transactionId, envelope } = verifyPkiRequest(jscep.scep_req2, { legacySha1: true })
      return messageType === 'PKCSReq' && transactionId === jscepTransactionId && Buffer.compare(envelope, jscep.scep_req1) === 0
    }),
    vector('d::scep_resp2', 'accept', () => isSuccess(jscep.scep_resp2, signers(), jscepTransactionId)),
    vector('d::scep_resp2 answers scep_req2', 'accept', () => reachesDecryption(jscep.scep_resp2, rules())),
    vector('d::scep_resp2 with another nonce', 'refuse', () =>
      reachesDecryption(jscep.scep_resp2, { ...rules(), senderNonce: new Uint8Array(16) }),
    ),
  ]
}

/** messageType 3 and pkiStatus 0, under a good signature. */
function isSuccess(message: Uint8Array, signers: Parameters<typeof signedParts>[1], transactionId?: string): boolean {
  const opened = openSignedData(message, { signers, legacySha1: true })
  const text = (type: number) => readText(signedAttribute(opened, `2.16.840.1.113733.1.9.${type}`), 'attribute')
  return text(2) === '3' && text(3) === '0' && (transactionId === undefined || text(7) === transactionId)
}

async function reachesDecryption(message: Uint8Array, rules: Parameters<typeof parseCertRep>[1]): Promise<boolean> {
  try {
    await parseCertRep(message, rules)
    return true
  } catch (error) {
    if (error instanceof AgentError && error.code === 'ERR_CMS_DECRYPT') return true
    throw error
  }
}

/** Every bit alone, and all of them; tags and lengths of the other kinds come of it. */
const flippedBits = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff] as const

function flips(name: string, message: Uint8Array, signers: Parameters<typeof signedParts>[1]): VectorCase[] {
  const untouched = signedParts(message, signers)
  return Array.from(message, (octet, at) =>
    vector(`e::${name} octet ${at}`, 'refuse', () => {
      const mutant = Uint8Array.from(message)
      return flippedBits.some((bits) => {
        mutant[at] = octet ^ bits
        return isForged(mutant, signers, untouched)
      })
    }),
  )
}

function isForged(mutant: Uint8Array, signers: Parameters<typeof signedParts>[1], untouched: string): boolean {
  try {
    return signedParts(mutant, signers) !== untouched
  } catch (error) {
    if (error instanceof AgentError) return false
    throw error
  }
}
