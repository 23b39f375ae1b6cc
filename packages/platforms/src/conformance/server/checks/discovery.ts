import type { HttpResponse } from '@certfleet/agent-core'
import { normaliseBer, readSequence, Tag } from '@certfleet/agent-core/der'
import { type Certificate, formatName, publicKeyOf, sameName } from '@certfleet/agent-core/pki'
import type { CaCertificates, Capability } from '@certfleet/agent-core/scep/messages'
import { holdsTrue } from '../../check.ts'
import { Skipped } from '../../context.ts'
import { everywhere, type ServerCheck } from '../check.ts'
import { pathTo, type ServerSession } from '../session.ts'

const listed = (id: string, words: readonly Capability[], otherwise: string, source: string): ServerCheck => ({
  id: `server.capabilities.${id}`,
  on: everywhere,
  given: 'the words of GetCACaps',
  expect: `${words.join(' or ')} is listed, by itself or within SCEPStandard`,
  source,
  async run(session) {
    const { offered } = await session.capabilities()
    holdsTrue(
      words.some((word) => offered.has(word)),
      `GetCACaps does not list ${words.join(' or ')}: ${otherwise}`,
    )
  },
})

/** What a client learns before it asks for anything. */
export const discoveryChecks: readonly ServerCheck[] = [
  {
    id: 'server.https',
    on: ['android'],
    given: 'the SCEP URL',
    expect: 'it is https: the client asks no other',
    source: 'M-SCEP SCEP server URLs',
    async run({ target: { url } }) {
      const { protocol, hostname } = new URL(url)
      if (/^(localhost|127\..*|\[::1\])$/.test(hostname)) throw new Skipped('the server is tried on loopback, where no device will ask it')
      holdsTrue(protocol === 'https:', 'the URL is plain http, which the client does not ask')
    },
  },
  {
    id: 'server.url-suffix',
    on: ['windows'],
    given: 'GetCACaps at the SCEP URL with /pkiclient.exe behind it, which is what the client asks',
    expect: 'it is answered as at the URL itself',
    source: 'ID-NDES NDES log',
    async run(session) {
      const { target, behaviour } = session
      const { urlSuffix } = behaviour.habits('')
      const { status } = await session.ask('GetCACaps', target.url.endsWith(urlSuffix) ? target.url : target.url + urlSuffix)
      holdsTrue(status === 200, `${urlSuffix} behind the URL is answered with HTTP status ${status}; the other checks leave it out`)
    },
  },
  {
    id: 'server.capabilities.answer',
    on: everywhere,
    given: 'GetCACaps, with the parameters of the client',
    expect: 'HTTP status 200 and text/plain, or no content type at all, as some versions of NDES answer',
    source: 'RFC8894 3.5.2; J issue 49',
    async run(session) {
      const { response } = await session.capabilities()
      holdsTrue(response.status === 200, `GetCACaps is answered with HTTP status ${response.status}`)
      const type = typeOf(response)
      holdsTrue(type === '' || type === 'text/plain', `the content type of GetCACaps is ${type}`)
    },
  },
  listed('digest', ['SHA-256', 'SHA-512'], 'clients go down to SHA-1 or MD5, or give up', 'RFC8894 2.9, 3.5.2; MICROMDM scep#23'),
  listed('cipher', ['AES'], 'clients go down to 3DES, or to single DES where that is not listed either', 'RFC8894 2.9, 3.5.2'),
  listed('post', ['POSTPKIOperation'], 'requests go by GET, which proxies and filters cut short', 'RFC8894 2.9, 3.5.2, 4.1'),
  {
    id: 'server.ca.content-type',
    on: everywhere,
    given: 'GetCACert, with the parameters of the client',
    expect: 'application/x-x509-ca-cert for one certificate, application/x-x509-ca-ra-cert for a bundle',
    source: 'RFC8894 4.2.1; A-SEC SecSCEP',
    async run(session) {
      const { response } = await session.authorities()
      const expected = isBundle(response) ? 'application/x-x509-ca-ra-cert' : 'application/x-x509-ca-cert'
      holdsTrue(typeOf(response) === expected, `the content type of GetCACert is "${typeOf(response)}", expected ${expected}`)
    },
  },
  {
    id: 'server.ca.roles',
    on: ['ios', 'macos'],
    given: 'what GetCACert shows',
    expect: 'one CA, or a bundle with an RA certificate to sign and one to encrypt, or one RA for both; a bundle without RA is refused',
    source: 'A-SEC SecSCEP',
    async run(session) {
      const { response, ca } = await session.authorities()
      if (isBundle(response)) holdsTrue(hasBothRoles(ca), rolesOf(ca))
    },
  },
  {
    id: 'server.ca.roles',
    on: ['android'],
    given: 'what GetCACert shows',
    expect: 'an RA, if there is one, has its certificates from the CA itself',
    source: 'J',
    async run(session) {
      const { ca } = await session.authorities()
      for (const one of registrationOf(ca))
        holdsTrue(sameName(one.issuer, ca.ca.subject), `the RA certificate ${formatName(one.subject)} is not issued by the CA itself`)
    },
  },
  {
    id: 'server.ca.roles',
    on: ['windows'],
    given: 'what GetCACert shows',
    expect: 'a CA, an RA certificate to sign and one to encrypt, both issued by the CA',
    source: 'W-CE Initialize',
    async run(session) {
      const { response, ca } = await session.authorities()
      if (!isBundle(response))
        throw new Skipped("there is no RA: the client's documentation asks for one, and servers that are a CA alone are used all the same")
      holdsTrue(hasBothRoles(ca), rolesOf(ca))
      for (const one of registrationOf(ca))
        holdsTrue(sameName(one.issuer, ca.ca.subject), `the RA certificate ${formatName(one.subject)} is not issued by the CA itself`)
    },
  },
  {
    id: 'server.ca.path',
    on: everywhere,
    given: 'the certificates of GetCACert that sign replies and that requests are encrypted to',
    expect: 'each has an RSA key, leads to what is trusted, and is in date',
    source: 'RFC8894 2.1.2, 2.2; W-DDF Install/CAThumbprint',
    async run(session) {
      const { ca } = await session.authorities()
      for (const one of new Set([ca.recipient, ...ca.signers])) await assertTrusted(one, session)
      const { asymmetricKeyType } = publicKeyOf(ca.recipient)
      holdsTrue(asymmetricKeyType === 'rsa', `requests would be encrypted to a key of type ${asymmetricKeyType}, which SCEP cannot`)
    },
  },
]

/** Without parameters, lower case. */
export function typeOf({ headers }: HttpResponse): string {
  return (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
}

export const registrationOf = ({ signers, recipient, authorities }: CaCertificates): readonly Certificate[] =>
  [...new Set([...signers, recipient])].filter((one) => !authorities.includes(one))

function isBundle({ body }: HttpResponse): boolean {
  return readSequence(normaliseBer(body, 'GetCACert answer'), 'GetCACert answer')[0]?.tag === Tag.Oid
}

function hasBothRoles({ signers, recipient, authorities }: CaCertificates): boolean {
  return !authorities.includes(recipient) && signers.some((one) => !authorities.includes(one))
}

function rolesOf({ signers, recipient, authorities }: CaCertificates): string {
  const missing = [
    ...(signers.some((one) => !authorities.includes(one)) ? [] : ['to sign (digitalSignature)']),
    ...(authorities.includes(recipient) ? ['to encrypt (keyEncipherment)'] : []),
  ]
  return `the bundle of GetCACert has no RA certificate ${missing.join(' and none ')}`
}

async function assertTrusted(leaf: Certificate, session: ServerSession): Promise<void> {
  const verdict = await pathTo(session, leaf)
  if (!verdict.ok) holdsTrue(false, `the certificate ${formatName(leaf.subject)} does not lead to what is trusted: ${verdict.reason}`)
}
