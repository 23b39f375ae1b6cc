import { type Certificate, PurposeOid, serialNumberHex, verifyIssued } from '@certfleet/agent-core/pki'
import { holdsTrue } from '../../check.ts'
import { Skipped } from '../../context.ts'
import { algorithmsIn } from '../../wire.ts'
import { everywhere, type ServerCheck } from '../check.ts'
import { type Answer, describe, isPending, isSuccess } from '../reply.ts'
import { type Enrolled, enrolled, exchanged, firstEnrolment, leafOf, sealed, type Wanted } from '../request.ts'
import { orSkipped, type ServerSession } from '../session.ts'

/** An ordinary request, and what comes of it. */
export const enrolmentChecks: readonly ServerCheck[] = [
  {
    id: 'server.enrol',
    on: everywhere,
    given: 'a PKCSReq as the client sends it, with a good challenge',
    expect: 'SUCCESS, with a certificate for the key of the request, that a device reads: its serial number too',
    source: 'RFC8894 3.3.1, 3.3.2, 4.3; RFC5280 4.1.2.2',
    async run(session) {
      await session.algorithms()
      const { answer, wanted } = await firstEnrolment(session)
      assertIssued(answer, wanted, 'the request')
      assertReadByDevice(answer, session)
    },
  },
  {
    id: 'server.enrol.certificate',
    on: everywhere,
    given: 'the certificate of that enrolment',
    expect:
      'its subject and alternative names are those of the request, it is in date, for client authentication and signatures, and leads to the root',
    source: 'RFC8894 3.3.2; SEED S20',
    async run(session) {
      await assertFaithful(session, await enrolled(session))
    },
  },
  {
    id: 'server.enrol.resend',
    on: everywhere,
    given: 'the same request once more in the same transaction, as from a device that the answer did not reach',
    expect: 'the certificate that was issued, and not a second one',
    source: 'RFC8894 3.2.1.1; SSCEP #189',
    async run(session) {
      const { wanted, leaf } = await enrolled(session)
      const { answer } = await exchanged(session, wanted, await sealed(session, wanted))
      holdsTrue(!isPending(answer), 'the same request in the same transaction is pending again')
      const again = assertIssued(answer, wanted, 'the same request in the same transaction')
      const [before, after] = [leaf, again].map(serialNumberHex)
      holdsTrue(
        Buffer.compare(again.raw, leaf.raw) === 0,
        `a second certificate was issued in the same transaction: serial numbers ${before} and ${after}`,
      )
    },
  },
  {
    id: 'server.pending',
    on: everywhere,
    given: 'a request that the CA does not decide at once',
    expect: 'CertPoll by the same signer and transactionID is answered PENDING until the decision',
    source: 'RFC8894 3.3.3, 4.4; A-SEC SecSCEP; W-CE get_TransactionId',
    async run(session) {
      const { answer, before, wanted } = await orSkipped(() => firstEnrolment(session))
      if (before.length === 0) throw new Skipped('the server decided at once')
      const isOurs = (one: Answer) => one.kind !== 'reply' || one.transactionId === wanted.transactionId
      holdsTrue(
        before.every((one) => isOurs(one.answer)) && isOurs(answer),
        'an answer of PENDING or to CertPoll has another transactionID',
      )
      holdsTrue(answer.kind === 'reply' && answer.status !== undefined, `a CertPoll was answered with ${describe(answer)}`)
      holdsTrue(
        answer.failInfo !== 'badCertId',
        'a CertPoll by the signer of the request, in its transaction, was answered with FAILURE badCertId',
      )
    },
  },
]

/** Single DES and SHA-1 are read here, whatever a device would make of them. */
export function assertIssued(answer: Answer, { key }: Wanted, what: string): Certificate {
  if (isPending(answer)) throw new Skipped('the CA left it pending: let it issue at once, and run this again')
  holdsTrue(isSuccess(answer), `${what} was answered with ${describe(answer)}`)
  const leaf = leafOf(answer.certificates, key)
  holdsTrue(
    leaf !== undefined,
    `${what} was answered with SUCCESS and no certificate for its key${answer.problem ? `: ${answer.problem}` : ''}`,
  )
  return leaf
}

function assertReadByDevice(answer: Answer, { target: { legacyDes, legacySha1 } }: ServerSession): void {
  if (answer.kind !== 'reply') return
  holdsTrue(
    legacySha1 === true || answer.signed.hash !== 'sha1',
    'the answer is signed over SHA-1, which a device refuses without legacy-sha1',
  )
  const isDes = answer.signed.content !== undefined && algorithmsIn(answer.signed.content).includes('DES')
  holdsTrue(legacyDes === true || !isDes, 'the answer is encrypted in single DES, which a device refuses without legacy-des')
}

/** The whole of it, as the agent judges what it installs. */
export async function assertFaithful(session: ServerSession, { wanted, leaf }: Pick<Enrolled, 'wanted' | 'leaf'>): Promise<void> {
  const { ca } = await session.authorities()
  const { key, subject, subjectAltNames } = wanted
  const issued = [leaf.raw, ...ca.authorities.map(({ raw }) => raw)]
  const request = { subject, subjectAltNames, keySpec: key.spec }
  verifyIssued({ issued, request, key, root: (await session.anchor()).raw, at: session.target.clock.now() })
  const purposes = leaf.extendedKeyUsage ?? []
  holdsTrue([...purposes].includes(PurposeOid.ClientAuth), 'the certificate is not for client authentication, which was asked for')
  holdsTrue(leaf.keyUsage?.has('digitalSignature') ?? true, 'the key usage of the certificate lacks digitalSignature, which was asked for')
}
