import type { CmsSigner } from '@certfleet/agent-core/cms'
import { holdsTrue } from '../../check.ts'
import { Skipped } from '../../context.ts'
import { everywhere, type ServerCheck } from '../check.ts'
import { describe, isFailure } from '../reply.ts'
import { enrolled, requested } from '../request.ts'
import { goodChallenge, type ServerSession } from '../session.ts'
import { assertFaithful, assertIssued } from './enrolment.ts'

/** Another certificate for the same name, and for another key. */
export const renewalChecks: readonly ServerCheck[] = [
  {
    id: 'server.renewal.by-request',
    on: everywhere,
    given: 'RenewalReq for another key without a challenge, signed by the certificate that it renews, where GetCACaps lists Renewal',
    expect: 'a certificate for the new key and the same names',
    source: 'RFC8894 2.5, 3.3.1.2, 3.5.2',
    async run(session) {
      const { offered } = await session.capabilities()
      if (!offered.has('Renewal')) throw new Skipped('GetCACaps does not list Renewal')
      const { wanted, answer } = await renewed(session, 'RenewalReq')
      await assertFaithful(session, { wanted, leaf: assertIssued(answer, wanted, 'RenewalReq, which GetCACaps lists as Renewal,') })
    },
  },
  {
    id: 'server.renewal.by-certificate',
    on: everywhere,
    given: 'PKCSReq for another key without a challenge, signed by the certificate that it renews, as clients of the drafts send it',
    expect: 'a certificate for the new key and the same names, or a CertRep with FAILURE',
    source: 'RFC8894 3.3.1; SSCEP #96',
    async run(session) {
      const { wanted, answer } = await renewed(session, 'PKCSReq')
      if (isFailure(answer)) throw new Skipped(`the server answers ${describe(answer)}; no platform renews so`)
      await assertFaithful(session, { wanted, leaf: assertIssued(answer, wanted, 'PKCSReq signed by the certificate that it renews') })
    },
  },
  {
    id: 'server.renewal.by-challenge',
    on: everywhere,
    given: 'PKCSReq for another key and the same names with another good challenge, which is how this platform renews',
    expect: 'a certificate for the new key and the same names, beside the one that is in force',
    source: 'M-SCEP Renewal threshold; A-SEC SecSCEP; W-CE SignerCertificate, OldCertificate; J MessageType',
    async run(session) {
      const { subject, subjectAltNames } = (await enrolled(session)).wanted
      const { wanted, answer } = await requested(session, { name: { subject, subjectAltNames }, challenge: await goodChallenge(session) })
      const leaf = assertIssued(answer, wanted, 'a second PKCSReq for the same names')
      holdsTrue(leaf.subject.length > 0, 'the renewed certificate has no subject')
      await assertFaithful(session, { wanted, leaf })
    },
  },
]

async function renewed(session: ServerSession, messageType: 'PKCSReq' | 'RenewalReq') {
  const { wanted, leaf } = await enrolled(session)
  const { subject, subjectAltNames, key } = wanted
  const signer: CmsSigner = { certificate: leaf, key }
  return requested(session, { name: { subject, subjectAltNames }, messageType, signer })
}
