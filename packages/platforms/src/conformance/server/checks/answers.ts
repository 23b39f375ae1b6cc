import { formatName } from '@certfleet/agent-core/pki'
import { holdsTrue } from '../../check.ts'
import { Skipped } from '../../context.ts'
import { algorithmsIn } from '../../wire.ts'
import { everywhere, type ServerCheck } from '../check.ts'
import { describe, type Reply } from '../reply.ts'
import { type Exchange, firstEnrolment } from '../request.ts'
import { orSkipped, type ServerSession } from '../session.ts'
import { registrationOf, typeOf } from './discovery.ts'

const hex = (octets: Uint8Array | undefined): string => (octets === undefined ? 'nothing' : Buffer.from(octets).toString('hex'))

/** How the answer to the first enrolment is written, whatever it says. */
export const answerChecks: readonly ServerCheck[] = [
  {
    id: 'server.reply.content-type',
    on: everywhere,
    given: 'the answer to the enrolment',
    expect: 'application/x-pki-message',
    source: 'RFC8894 4.3',
    async run(session) {
      const { response } = await replyToFirst(session)
      holdsTrue(typeOf(response) === 'application/x-pki-message', `the content type of the answer is "${typeOf(response)}"`)
    },
  },
  {
    id: 'server.reply.signature',
    on: everywhere,
    given: 'the answer to the enrolment',
    expect: 'a CertRep whose signature is good',
    source: 'RFC8894 3.1, 3.3.2',
    async run(session) {
      const { answer } = await orSkipped(() => firstEnrolment(session))
      if (answer.kind === 'http') throw new Skipped(`the enrolment ended with ${describe(answer)}`)
      holdsTrue(answer.kind === 'reply', `the answer is ${describe(answer)}`)
      holdsTrue(answer.messageType === '3', `the messageType of the answer is ${answer.messageType}, expected 3`)
    },
  },
  {
    id: 'server.reply.signer',
    on: ['android', 'windows'],
    given: 'the answer to the enrolment',
    expect: 'it is signed by a certificate of GetCACert that may sign',
    source: 'RFC8894 3.3.2',
    async run(session) {
      const { answer } = await replyToFirst(session)
      const { ca } = await session.authorities()
      assertSignedBy(answer, ca.signers)
    },
  },
  {
    id: 'server.reply.signer',
    on: ['ios', 'macos'],
    given: 'the answer to the enrolment',
    expect: 'it is signed by the RA certificate for signatures, or by the CA where there is no RA',
    source: 'A-SEC SecSCEP; RFC8894 3.3.2',
    async run(session) {
      const { answer } = await replyToFirst(session)
      const { ca } = await session.authorities()
      const registration = registrationOf(ca)
      const signers = ca.signers.filter((one) => registration.includes(one))
      assertSignedBy(answer, signers.length > 0 ? signers : ca.signers)
    },
  },
  {
    id: 'server.reply.transaction',
    on: everywhere,
    given: 'the answer to the enrolment',
    expect: 'the transactionID of the request',
    source: 'RFC8894 3.2.1.1; J EnrollmentTransaction',
    async run(session) {
      const { answer, wanted } = await replyToFirst(session)
      holdsTrue(answer.transactionId === wanted.transactionId, 'the transactionID of the answer is not that of the request')
    },
  },
  {
    id: 'server.reply.nonce',
    on: everywhere,
    given: 'the answer to the enrolment',
    expect: 'its recipientNonce is the senderNonce of the request, and it has a senderNonce of its own',
    source: 'RFC8894 3.2.1.5; J EnrollmentTransaction',
    async run(session) {
      const { answer, senderNonce } = await replyToFirst(session)
      const { recipientNonce } = answer
      holdsTrue(
        hex(recipientNonce) === hex(senderNonce),
        `the recipientNonce of the answer is ${hex(recipientNonce)}, the senderNonce of the request ${hex(senderNonce)}`,
      )
      holdsTrue(
        answer.senderNonce !== undefined && hex(answer.senderNonce) !== hex(senderNonce),
        'the answer has no senderNonce of its own',
      )
    },
  },
  {
    id: 'server.reply.digest',
    on: everywhere,
    given: 'the answer to the enrolment, whose request was signed over SHA-256 or better',
    expect: 'it is signed over SHA-256 or better',
    source: 'RFC8894 2.9',
    async run(session) {
      const { answer } = await replyToFirst(session)
      holdsTrue(answer.signed.hash !== 'sha1', 'the answer is signed over SHA-1, though the request was not')
    },
  },
  {
    id: 'server.reply.cipher',
    on: everywhere,
    given: 'the answer to the enrolment, whose request was encrypted in AES or 3DES',
    expect: 'it is encrypted in AES or 3DES, never in single DES',
    source: 'RFC8894 2.9',
    async run(session) {
      const { answer } = await replyToFirst(session)
      if (answer.signed.content === undefined || answer.status !== 'SUCCESS')
        throw new Skipped(`the enrolment ended with ${describe(answer)}`)
      holdsTrue(!algorithmsIn(answer.signed.content).includes('DES'), 'the answer is encrypted in single DES, though the request was not')
    },
  },
]

async function replyToFirst(session: ServerSession): Promise<Exchange & { readonly answer: Reply }> {
  const exchange = await orSkipped(() => firstEnrolment(session))
  const { answer } = exchange
  if (answer.kind !== 'reply') throw new Skipped(`the enrolment ended with ${describe(answer)}`)
  return { ...exchange, answer }
}

function assertSignedBy({ signed: { signer } }: Reply, signers: readonly { readonly raw: Uint8Array }[]): void {
  const isOne = signers.some(({ raw }) => Buffer.compare(raw, signer.raw) === 0)
  holdsTrue(isOne, `the answer is signed by ${formatName(signer.subject)}, which is not the certificate of GetCACert that signs`)
}
