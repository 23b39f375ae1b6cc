import { getCertificate, getCrl, nextCaCertificates } from '@certfleet/agent-core'
import { holdsTrue } from '../../check.ts'
import { Skipped } from '../../context.ts'
import { everywhere, type ServerCheck } from '../check.ts'
import { enrolled } from '../request.ts'
import { protocolOptions, type ServerSession } from '../session.ts'
import { typeOf } from './discovery.ts'

/** What a server may be asked beside certificates for oneself. */
export const inquiryChecks: readonly ServerCheck[] = [
  {
    id: 'server.next-ca',
    on: everywhere,
    given: 'GetNextCACert',
    expect: 'where GetCACaps lists it, the next certificates, signed by the present CA or RA; where not, 400, 404, 405 or 501',
    source: 'RFC8894 3.5.2, 4.7',
    async run(session) {
      const { offered } = await session.capabilities()
      await (offered.has('GetNextCACert') ? assertNextCa(session) : assertNoNextCa(session))
    },
  },
  {
    id: 'server.get-cert',
    on: everywhere,
    given: 'GetCert for the certificate of the enrolment, signed by it',
    expect: 'that certificate, or a CertRep with FAILURE: servers need not have it',
    source: 'RFC8894 3.3.4, 4.5',
    async run(session) {
      const { leaf, asker } = await askerOf(session)
      skipUnlessFound('GetCert', await getCertificate(protocolOptions(session), leaf, asker, session.signal))
    },
  },
  {
    id: 'server.get-crl',
    on: everywhere,
    given: 'GetCRL for the certificate of the enrolment, signed by it',
    expect: 'a CRL that its issuer signed, or a CertRep with FAILURE: servers need not have it',
    source: 'RFC8894 3.3.4, 4.6; SSCEP #59',
    async run(session) {
      const { leaf, asker } = await askerOf(session)
      skipUnlessFound('GetCRL', await getCrl(protocolOptions(session), leaf, asker, session.signal))
    },
  },
]

async function askerOf(session: ServerSession) {
  const { leaf, wanted } = await enrolled(session)
  return { leaf, asker: { certificate: leaf.raw, key: wanted.key } }
}

function skipUnlessFound(operation: string, answer: { readonly status: 'found' | 'rejected'; readonly failInfo?: string }): void {
  if (answer.status === 'rejected')
    throw new Skipped(`the server answers ${operation} with FAILURE ${answer.failInfo}, and need not have it`)
}

async function assertNextCa(session: ServerSession): Promise<void> {
  const response = await session.ask('GetNextCACert')
  holdsTrue(response.status === 200, `GetNextCACert is listed, and answered with HTTP status ${response.status}`)
  const type = typeOf(response)
  holdsTrue(type === 'application/x-x509-next-ca-cert', `the content type of GetNextCACert is "${type}"`)
  await nextCaCertificates(protocolOptions(session), session.signal)
}

const plainNo = new Set([400, 404, 405, 501])

async function assertNoNextCa(session: ServerSession): Promise<void> {
  const { status } = await session.ask('GetNextCACert')
  if (plainNo.has(status))
    throw new Skipped(`no roll-over is announced: GetCACaps does not list GetNextCACert, and it is answered with ${status}`)
  holdsTrue(
    false,
    status === 200
      ? 'GetNextCACert is answered, and GetCACaps does not list it: no device will ask'
      : `GetNextCACert is missing: GetCACaps does not list it, and it is answered with HTTP status ${status} as if the server were broken; devices cannot learn of a roll-over`,
  )
}
