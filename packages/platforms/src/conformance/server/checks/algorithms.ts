import { generateKeyPair, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { AgentError, scepProtocol, softwareKeyHandle, type Transport } from '@certfleet/agent-core'
import { buildEnvelopedData, buildSignedData } from '@certfleet/agent-core/cms'
import { holdsTrue, same } from '../../check.ts'
import { Skipped } from '../../context.ts'
import { operationOf } from '../../wire.ts'
import { everywhere, type ServerCheck } from '../check.ts'
import { desEnvelope, md5Signed, requestAttributes } from '../forged.ts'
import { type Answer, describe, isFailure, isSuccess } from '../reply.ts'
import { exchanged, sealed, type Wanted, want } from '../request.ts'
import {
  challengeToRefuse,
  keepSpare,
  orSkipped,
  protocolOptions,
  type ServerSession,
  trustedAuthorities,
  wrongChallenge,
} from '../session.ts'

const generatePair = promisify(generateKeyPair)

interface Sealed {
  readonly message: Uint8Array
  readonly senderNonce: Uint8Array
}

/** What a server must not take, whoever sends it. */
export const algorithmChecks: readonly ServerCheck[] = [
  {
    id: 'server.algorithms.des',
    on: everywhere,
    given: 'a request with a good challenge, encrypted in single DES',
    expect: 'it is refused',
    source: 'RFC8894 2.9, 3.2.1.4',
    async run(session) {
      assertNotTaken(await attempted(session, inDes), 'a request in single DES')
    },
  },
  {
    id: 'server.algorithms.md5',
    on: everywhere,
    given: 'a request with a good challenge, signed over MD5',
    expect: 'it is refused',
    source: 'RFC8894 2.9, 3.2.1.4',
    async run(session) {
      assertNotTaken(await attempted(session, await overMd5()), 'a request signed over MD5')
    },
  },
  {
    id: 'server.algorithms.sha1',
    on: everywhere,
    given: 'a request with a good challenge, signed over SHA-1, where GetCACaps does not list SHA-1',
    expect: 'it is refused',
    source: 'RFC8894 2.9, 3.2.1.4, 3.5.2',
    async run(session) {
      if ((await session.capabilities()).offered.has('SHA-1')) throw new Skipped('GetCACaps lists SHA-1')
      const overSha1 = (wanted: Wanted) => sealed(session, wanted, { hash: 'sha1' })
      assertNotTaken(await attempted(session, { seal: overSha1 }), 'a request signed over SHA-1, which GetCACaps does not list,')
    },
  },
  {
    id: 'server.message.signature',
    on: everywhere,
    given: 'a request with a good challenge, one bit of its signature changed',
    expect: 'a CertRep with FAILURE badMessageCheck',
    source: 'RFC8894 3.2.1.4',
    async run(session) {
      const answer = await attempted(session, { seal: async (wanted) => spoilt(await sealed(session, wanted)) })
      const isChecked = isFailure(answer) && answer.failInfo === 'badMessageCheck'
      holdsTrue(isChecked, `a request with a broken signature is answered with ${describe(answer)}, expected FAILURE badMessageCheck`)
    },
  },
  {
    id: 'server.message.recipient',
    on: everywhere,
    given: 'a request that is encrypted to another certificate than those of GetCACert',
    expect: 'it is refused',
    source: 'RFC8894 3.1, 3.2.1.4',
    async run(session) {
      const wanted = await want(session, { challenge: wrongChallenge() })
      const toNobody = await sealed(session, wanted, { recipient: wanted.signer.certificate })
      const { answer } = await exchanged(session, wanted, toNobody)
      assertNotTaken(answer, 'a request that the server cannot decrypt')
    },
  },
  {
    id: 'server.ca.unknown',
    on: everywhere,
    given: 'a device that trusts another CA than this one',
    expect: 'it reads GetCACert, and stops before PKIOperation: the server sees no request, and no challenge',
    source: 'W-DDF Install/CAThumbprint; A-SEC SecSCEP',
    async run(session) {
      const { code, operations } = await distrusting(session)
      same(code, 'ERR_CA_UNTRUSTED', 'the device ends with')
      holdsTrue(!operations.includes('PKIOperation'), 'the device sent its request to a CA that it does not trust')
    },
  },
]

interface Way {
  readonly wish?: Parameters<typeof want>[1]
  seal(wanted: Wanted, session: ServerSession): Promise<Sealed>
}

const inDes: Way = {
  async seal({ csr, signer, transactionId }, session) {
    const senderNonce = randomBytes(16)
    const content = desEnvelope(csr, (await trustedAuthorities(session)).recipient)
    const attributes = requestAttributes(transactionId, senderNonce)
    const { hash } = await orSkipped(session.algorithms)
    return { message: await buildSignedData({ content, signer, hash, attributes, certificates: [signer.certificate.raw] }), senderNonce }
  },
}

/** Key handles sign over no MD5, so that this takes a key of its own. */
async function overMd5(): Promise<Way> {
  const { privateKey } = await generatePair('rsa', { modulusLength: 2048 })
  return {
    wish: { key: softwareKeyHandle(privateKey, 'md5') },
    async seal({ csr, signer, transactionId }, session) {
      const senderNonce = randomBytes(16)
      const { cipher } = await orSkipped(session.algorithms)
      const content = buildEnvelopedData({ content: csr, recipient: (await trustedAuthorities(session)).recipient, cipher })
      const attributes = requestAttributes(transactionId, senderNonce)
      return { message: md5Signed({ content, attributes, certificate: signer.certificate, privateKey }), senderNonce }
    },
  }
}

/** Sends a request that is good but for how it is written. */
async function attempted(session: ServerSession, { wish, seal }: Way): Promise<Answer> {
  const challenge = await challengeToRefuse(session)
  const wanted = await want(session, { ...wish, challenge })
  const { answer } = await exchanged(session, wanted, await seal(wanted, session))
  if (!isSuccess(answer)) keepSpare(session, challenge)
  return answer
}

/** An HTTP error is a no, too: what must not be read need not be answered. */
function assertNotTaken(answer: Answer, what: string): void {
  holdsTrue(isFailure(answer) || answer.kind === 'http', `${what} is answered with ${describe(answer)}, expected a refusal`)
}

/** The signature stands at the end of the message. */
function spoilt({ message, senderNonce }: Sealed): Sealed {
  const other = Uint8Array.from(message)
  other[other.length - 1] = (other.at(-1) ?? 0) ^ 1
  return { message: other, senderNonce }
}

async function distrusting(session: ServerSession): Promise<{ code: string; operations: readonly string[] }> {
  const operations: string[] = []
  const transport: Transport = {
    send(request, signal) {
      operations.push(operationOf(request))
      return session.target.transport.send(request, signal)
    },
  }
  const protocol = scepProtocol({ ...protocolOptions(session), transport, trust: { fingerprint: '0'.repeat(64) } })
  const { csr, key } = await want(session)
  try {
    const { status } = await protocol.request({ csr, key }, session.signal)
    return { code: status, operations }
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return { code: error.code, operations }
  }
}
