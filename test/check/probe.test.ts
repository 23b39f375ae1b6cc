import { AgentError, type HttpRequest, type HttpResponse, handlerTransport } from '@certfleet/agent-core'
import { buildCertificatesOnly } from '@certfleet/agent-core/cms'
import { isSelfSigned } from '@certfleet/agent-core/pki'
import { parseCaCertificates } from '@certfleet/agent-core/scep/messages'
import t from 'tap'
import { type CheckFinding, probeServers } from '#emulator/check/index.ts'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { scepUrl, start, startLab } from '../lab/surroundings.ts'
import { imported, type Json, scep, trustedRoot } from '../tenant/graph.ts'

const { lab } = await startLab()
const answer = await lab.handle({ method: 'GET', url: `${scepUrl}?operation=GetCACert`, headers: {} })
const { authorities, signers, recipient } = parseCaCertificates(answer.body)
const everything = new Set([...authorities, ...signers, recipient])
const labRoot = (authorities.find(isSelfSigned) ?? authorities[0])?.raw as Uint8Array

const top = { subject: 'CN=Top', key: await testKey('top') }
const topCertificate = await testCertificate({ ...top, ca: true })
const issuing = { subject: 'CN=Issuing', key: await testKey('issuing') }
const issuingCertificate = await testCertificate({ ...issuing, issuer: top, ca: true })
const presented = (...certificates: Uint8Array[]) => buildCertificatesOnly({ certificates, crls: [] })

type Server = (request: HttpRequest) => Promise<HttpResponse>
const answering =
  (body: Uint8Array | string, status = 200): Server =>
  async () => ({ status, headers: {}, body: typeof body === 'string' ? Buffer.from(body) : body })

const holding = (certificate: Uint8Array, members: Json = {}) =>
  trustedRoot({ trustedRootCertificate: Buffer.from(certificate).toString('base64'), ...members })

function probed(documents: readonly Json[], server: Server, now = start): Promise<readonly CheckFinding[]> {
  return probeServers({ imported: imported(...documents), now }, handlerTransport(server), new AbortController().signal)
}

const at = (url: string, members: Json = {}) => scep({ scepServerUrls: [url], ...members })

interface Row {
  readonly name: string
  readonly documents: readonly Json[]
  readonly server: Server
  readonly now?: number
  readonly finds: readonly Partial<Record<keyof CheckFinding, unknown>>[]
}

const other = { id: 'server-other-root', severity: 'error', profile: 'Scep' }
const unreachable = { id: 'server-unreachable', severity: 'warning', profile: 'Scep' }
const expired = { id: 'server-certificate-expired', profile: 'Scep' }
const decade = 10 * 365 * 86_400_000
const oldSigner = await testCertificate({
  ...{ subject: 'CN=Old RA', key: issuing.key, issuer: top, keyUsage: ['digitalSignature'] },
  notAfter: start - 1,
})

const rows: readonly Row[] = [
  { name: 'the root of the server is linked', documents: [holding(labRoot), at(scepUrl)], server: lab.handle, finds: [] },
  {
    name: 'another root is linked',
    documents: [holding(topCertificate), at(scepUrl)],
    server: lab.handle,
    finds: [
      { ...other, source: 'windows.csp.ca-thumbprint', message: /does not lead to "Root", CN=Top \(SHA-1 [0-9a-f]{40}\): devices stop/ },
    ],
  },
  {
    name: 'a root of the same name and another key',
    documents: [holding(await testCertificate({ subject: 'CN=Top', key: issuing.key, ca: true })), at('https://ca.example/scep')],
    server: answering(presented(topCertificate, issuingCertificate)),
    finds: [{ ...other, message: /the same name and is another certificate/ }],
  },
  {
    name: 'the issuing CA is linked in place of the root, on Windows',
    documents: [holding(issuingCertificate), at('https://ca.example/scep')],
    server: answering(presented(topCertificate, issuingCertificate)),
    finds: [{ ...other, severity: 'warning', message: /an issuing CA and not the root CN=Top/, source: 'windows.csp.ca-thumbprint' }],
  },
  {
    name: 'the issuing CA is linked on iOS, which asks for a path alone',
    documents: [
      holding(issuingCertificate, { '@odata.type': '#microsoft.graph.iosTrustedRootCertificate' }),
      at('https://ca.example/scep', { '@odata.type': '#microsoft.graph.iosScepCertificateProfile' }),
    ],
    server: answering(presented(topCertificate, issuingCertificate)),
    finds: [],
  },
  {
    name: 'the root is linked and the server presents the issuing CA alone',
    documents: [holding(topCertificate), at('https://ca.example/scep')],
    server: answering(issuingCertificate),
    finds: [],
  },
  {
    name: 'everything that the server presents has expired',
    documents: [holding(labRoot), at(scepUrl)],
    server: lab.handle,
    now: start + 5 * decade,
    finds: [...everything].map(() => ({ ...expired, severity: 'error', message: /only$/ })),
  },
  {
    name: 'one that nobody needs has expired',
    documents: [holding(topCertificate), at('https://ca.example/scep')],
    server: answering(presented(topCertificate, oldSigner)),
    finds: [{ ...expired, severity: 'warning', message: /CN=Old RA .* to 2026-06-01 only/ }],
  },
  {
    name: 'it is good to its last moment',
    documents: [holding(topCertificate), at('https://ca.example/scep')],
    server: answering(presented(topCertificate, oldSigner)),
    now: start - 1000,
    finds: [],
  },
  {
    name: 'a page in place of a certificate',
    documents: [holding(labRoot), at('http://ca.example/scep')],
    server: answering('<html>NDES</html>'),
    finds: [{ ...unreachable, message: /^http:\/\/ca.example\/scep gave this machine no CA certificate: / }],
  },
  {
    name: 'not found',
    documents: [holding(labRoot), at('http://ca.example/scep?secret=canary')],
    server: answering('', 404),
    finds: [{ ...unreachable, message: /^http:\/\/ca.example\/scep gave .*HTTP status 404$/ }],
  },
  {
    name: 'out of reach',
    documents: [holding(labRoot), at('https://ca.example/scep')],
    server: async () => {
      throw new AgentError('ERR_NETWORK', 'ca.example: ENOTFOUND\n    at somewhere')
    },
    finds: [{ ...unreachable, message: /: ca.example: ENOTFOUND$/ }],
  },
  {
    name: 'which root is linked is not known',
    documents: [at(scepUrl, { 'rootCertificate@odata.bind': undefined })],
    server: lab.handle,
    finds: [],
  },
]

for (const { name, documents, server, now, finds } of rows)
  t.test(name, async (t) => {
    const found = await probed(documents, server, now)
    t.equal(found.length, finds.length, 'as many as expected')
    for (const [i, expected] of finds.entries()) t.match(found[i], expected)
    for (const { message, source } of found) t.ok(source && !/\n|canary/.test(message), 'one line, and where it is from')
  })

t.test('one server is asked once, whoever names it, and for its certificates alone', async (t) => {
  const asked: string[] = []
  const server: Server = (request) => {
    asked.push(`${request.method} ${request.url}`)
    return lab.handle(request)
  }
  const documents = [holding(labRoot), ...['a', 'b', 'c'].map((id) => at(scepUrl, { id, displayName: id })), at('http://two.example/scep')]
  await probed(documents, server)
  t.strictSame(asked, [`GET ${scepUrl}?operation=GetCACert&message=ca`, 'GET http://two.example/scep?operation=GetCACert&message=ca'])
})

t.test('who calls it off is told so, and no server is blamed', async (t) => {
  const stop = new AbortController()
  const transport = handlerTransport(() => {
    queueMicrotask(() => stop.abort(new Error('called off')))
    return new Promise(() => undefined)
  })
  await t.rejects(probeServers({ imported: imported(at(scepUrl)), now: start }, transport, stop.signal), { message: 'called off' })
})
