import { AgentError, type HttpRequest, type HttpResponse } from '@certfleet/agent-core'
import { issuerAndSerialNumber } from '@certfleet/agent-core/cms'
import { parseCaCertificates } from '@certfleet/agent-core/scep/messages'
import { type Check, holdsTrue, same } from '../check.ts'
import { assigned, enrolled, installed, refused, statusOf } from '../documents.ts'
import { algorithmsIn, messageOf, operationOf, operations, pkiMessages, pkiOperations } from '../wire.ts'
import { withCapabilities } from './wire.ts'

const usual = ['ios', 'macos', 'android', 'windows'] as const
const dead = ['https://first.invalid/scep', 'https://third.invalid/scep'] as const

const unreachable = async (request: HttpRequest, send: (request: HttpRequest) => Promise<HttpResponse>): Promise<HttpResponse> => {
  if (dead.some((url) => request.url.startsWith(url))) throw new AgentError('ERR_NETWORK', 'the server is down')
  return send(request)
}

/** The last is drawn first. */
const descending = () => {
  let rank = 100
  return { between: (minMs: number, maxMs: number) => (maxMs === 1 ? rank-- : minMs) }
}

async function withThreeUrls(context: Parameters<Check['run']>[0]) {
  const device = await assigned(context, {
    between: unreachable,
    jitter: descending(),
    scep: ({ scepUrl }) => ({ scepUrls: [dead[0], scepUrl, dead[1]] }),
  })
  const { state } = statusOf(await device.checkIn())
  const hosts = [...new Set(device.exchanges.map(({ request }) => new URL(request.url).host))]
  return { state, hosts, own: new URL(device.session.scepUrl).host }
}

const strongAlone = (id: string, given: string, capabilities: string, status = 200): readonly Check[] => [
  goesOn(id, given, capabilities, status),
  insufficient(id, given, capabilities, status),
]

const insufficient = (id: string, given: string, capabilities: string, status: number): Check => ({
  id,
  on: ['ios', 'macos'],
  given,
  expect: 'the profile fails: the capabilities of the CA are insufficient; no request is sent',
  source: 'MICROMDM scep#23; A-ERR MCSCEPErrorDomain 22006',
  facts: ['ios.scep.needs-digest', 'macos.scep.needs-digest'],
  async run(context) {
    const device = await refused(context, 'ERR_ALGORITHM_REFUSED', { between: withCapabilities(capabilities, status) })
    holdsTrue(!operations(device).includes('PKIOperation'), 'a request was sent')
  },
})

const goesOn = (id: string, given: string, capabilities: string, status: number): Check => ({
  id,
  on: ['android', 'windows'],
  given,
  expect: 'the device goes on with AES and SHA-256, and never falls back to DES or MD5',
  source: 'RFC8894 2.9, 3.5.2; J Capabilities does fall back',
  facts: status === 404 ? ['scep.floor', 'android.scep.no-capabilities'] : ['scep.floor'],
  async run(context) {
    const { device } = await enrolled(context, { between: withCapabilities(capabilities, status) })
    const [request] = pkiOperations(device)
    holdsTrue(request !== undefined, 'no request was sent')
    same(algorithmsIn(messageOf(request)), ['AES-128'], 'ciphers and weak digests of the request')
    same(
      pkiMessages(device).map(({ hash }) => hash),
      ['sha256'],
      'digests',
    )
  },
})

/** What the device takes of a server, and what it does not. */
export const serverChecks: readonly Check[] = [
  {
    id: 'servers.urls.first-only',
    on: ['ios', 'macos'],
    given: 'three SCEP URLs, the first of them down',
    expect: 'the request fails: the service sends one URL, and no other is tried',
    source: 'M-SCEP SCEP server URLs',
    facts: ['apple.scep.urls'],
    async run(context) {
      const { state, hosts } = await withThreeUrls(context)
      same([state, hosts], ['requestSubmitFailed', ['first.invalid']], 'outcome and servers asked')
    },
  },
  {
    id: 'servers.urls.in-order',
    on: ['windows'],
    given: 'three SCEP URLs, the first of them down',
    expect: 'the device goes on to the second, in the order received',
    source: 'M-SCEP SCEP server URLs',
    facts: ['windows.scep.urls'],
    async run(context) {
      const { state, hosts, own } = await withThreeUrls(context)
      same([state, hosts], ['installed', ['first.invalid', own]], 'outcome and servers asked')
    },
  },
  {
    id: 'servers.urls.shuffled',
    on: ['android'],
    given: 'three SCEP URLs, two of them down',
    expect: 'the device shuffles them and keeps the first that it reaches',
    source: 'M-SCEP SCEP server URLs',
    facts: ['android.scep.urls'],
    async run(context) {
      const { state, hosts, own } = await withThreeUrls(context)
      same([state, hosts], ['installed', ['third.invalid', own]], 'outcome and servers asked')
    },
  },
  {
    id: 'servers.switch-mid-exchange',
    on: usual,
    given: 'a balancer that sends PKIOperation to another server than GetCACert',
    expect: 'the request fails: its answer is not signed by who was met',
    source: 'M-SCEP SCEP server URLs',
    facts: ['scep.same-server', 'scep.reply-signer'],
    async run(context) {
      const other = await context.device({ setup: { otherAuthority: true } })
      const device = await assigned(context, {
        between: (request, send) => (operationOf(request) === 'PKIOperation' ? other.session.transport.send(request) : send(request)),
      })
      const { state, code } = statusOf(await device.checkIn())
      same([state, code], ['responseProcessingFailed', 'ERR_CMS_INVALID'], 'the profile')
    },
  },
  {
    id: 'servers.unknown-ca',
    on: usual,
    given: 'a server whose CA does not lead to the root of the profile',
    expect: 'the device stops before PKIOperation: nothing is sent to a CA that it does not know',
    source: 'W-DDF Install/CAThumbprint; A-SEC SecSCEP',
    facts: ['root.honoured'],
    async run(context) {
      const other = await context.device({ setup: { otherAuthority: true } })
      const certificate = Buffer.from(other.session.root).toString('base64')
      const device = await refused(context, 'ERR_CA_UNTRUSTED', { root: { certificate } })
      holdsTrue(!operations(device).includes('PKIOperation'), 'a request was sent to an unknown CA')
    },
  },
  {
    id: 'servers.registration-authority',
    on: usual,
    given: 'GetCACert with a CA and an RA of two certificates',
    expect: 'the request is encrypted to the one for keyEncipherment, and the reply signed by the other is taken',
    source: 'A-SEC SecSCEP; J; W-CE Initialize',
    facts: ['scep.registration-authority', 'ndes.registration-authority'],
    async run(context) {
      const { device } = await enrolled(context)
      const answer = device.exchanges.find(({ request }) => operationOf(request) === 'GetCACert')?.response
      const { recipient, signers, ca } = parseCaCertificates(answer?.body ?? new Uint8Array())
      const [request] = pkiOperations(device)
      holdsTrue(request !== undefined && signers.length > 1 && recipient !== ca, 'the server has no RA of two certificates')
      const isFor = (certificate: typeof ca) => Buffer.from(messageOf(request)).includes(Buffer.from(issuerAndSerialNumber(certificate)))
      same([isFor(recipient), isFor(ca)], [true, false], 'encrypted to RA and CA')
    },
  },
  ...strongAlone('servers.capabilities.missing', 'a server that answers GetCACaps with 404', 'not found', 404),
  ...strongAlone('servers.capabilities.page', 'a server that answers GetCACaps with an HTML page', '<html><body>NDES</body></html>'),
  ...strongAlone('servers.capabilities.des-md5', 'a server that lists nothing but words for DES and MD5', 'DES\nMD5\nPOSTPKIOperation\n'),
  {
    id: 'servers.capabilities.sha1-alone',
    on: usual,
    given: 'a server that offers SHA-1 and nothing better',
    expect: 'the device refuses it, and sends no request',
    source: 'RFC8894 2.9',
    async run(context) {
      const device = await refused(context, 'ERR_ALGORITHM_REFUSED', { between: withCapabilities('AES\nSHA-1\nPOSTPKIOperation\n') })
      holdsTrue(!operations(device).includes('PKIOperation'), 'a request was sent')
    },
  },
  {
    id: 'servers.capabilities.lines',
    on: usual,
    given: 'capabilities in lines that end in CRLF, an unknown word among them, and no content type',
    expect: 'they are read all the same',
    source: 'J Capability, #49; RFC8894 3.5.2',
    facts: ['scep.capabilities', 'scep.capabilities-type'],
    async run(context) {
      const text = 'AES\r\nSomething-New\r\nPOSTPKIOperation\r\nSHA-256\r\n'
      const { device } = await enrolled(context, {
        between: async (request, send) =>
          operationOf(request) === 'GetCACaps' ? { status: 200, headers: {}, body: Buffer.from(text) } : send(request),
      })
      same(
        [pkiOperations(device).map(({ method }) => method), pkiMessages(device).map(({ hash }) => hash)],
        [['POST'], ['sha256']],
        'methods and digests',
      )
    },
  },
  {
    id: 'servers.ciphers',
    on: usual,
    given: 'a server that offers 3DES before AES',
    expect: 'the request is encrypted with AES, the stronger of the two',
    source: 'J Capabilities; RFC8894 2.9',
    facts: ['android.scep.ciphers'],
    async run(context) {
      const { device } = await enrolled(context, { between: withCapabilities('DES3\nAES\nPOSTPKIOperation\nSHA-256\n') })
      same(
        pkiOperations(device).map((request) => algorithmsIn(messageOf(request))),
        [['AES-128']],
        'ciphers and weak digests of the request',
      )
    },
  },
  {
    id: 'servers.resend',
    on: usual,
    given: 'an enrolment whose reply is lost, and the next try',
    expect: 'the CA has issued one certificate, which the device gets',
    source: 'SSCEP #189; RFC8894 4.3',
    facts: ['ndes.same-key'],
    needs: ['advance', 'issued'],
    async run(context) {
      let isLost = true
      const device = await assigned(context, {
        async between(request, send) {
          const response = await send(request)
          if (operationOf(request) !== 'PKIOperation' || !isLost) return response
          isLost = false
          return { status: 502, headers: {}, body: new Uint8Array() }
        },
      })
      await device.checkIn()
      await device.session.advance?.(120_000)
      same(statusOf(await device.checkIn()).state, 'installed', 'the profile')
      same(device.session.issued?.().length, 1, 'certificates issued')
    },
  },
  {
    id: 'servers.urls.told',
    on: usual,
    given: 'a profile with two SCEP URLs',
    expect: 'Apple systems tell that the second has no effect; the others heed both',
    source: 'M-SCEP SCEP server URLs',
    facts: ['several-urls.apple-ignored', 'several-urls.honoured'],
    async run(context) {
      const device = await assigned(context, { scep: ({ scepUrl }) => ({ scepUrls: [scepUrl, `${scepUrl}/pkiclient.exe`] }) })
      const { ignoredSettings = [] } = statusOf(await device.checkIn())
      const isApple = context.os.platform === 'ios' || context.os.platform === 'macos'
      same(ignoredSettings, isApple ? ['severalUrls'] : [], 'ignored settings')
    },
  },
  {
    id: 'servers.ndes.capabilities',
    on: usual,
    given: 'the capabilities of NDES: 3DES and no AES',
    expect: 'the request is encrypted with 3DES, and signed over SHA-512',
    source: 'ID-NDES PKIOperation; RFC8894 2.9',
    facts: ['apple.scep.ndes-algorithms'],
    async run(context) {
      const ndes = 'POSTPKIOperation\nRenewal\nSHA-512\nSHA-256\nSHA-1\nDES3\n'
      const { device } = await enrolled(context, { between: withCapabilities(ndes) })
      same(
        pkiOperations(device).map((request) => algorithmsIn(messageOf(request))),
        [['3DES']],
        'ciphers and weak digests of the request',
      )
      same(
        pkiMessages(device).map(({ hash }) => hash),
        ['sha512'],
        'digests',
      )
    },
  },
  {
    id: 'servers.ndes.failure',
    on: usual,
    given: 'a failure as NDES writes it: one zero octet of content, no certificates, an HRESULT',
    expect: 'it is read as a failure, and the HRESULT is told; nothing is decrypted',
    source: 'SSCEP #59, one captured message; RFC8894 3.2.1.3',
    facts: ['ndes.failure', 'ndes.bad-request'],
    async run(context) {
      const device = await assigned(context, { setup: { ndesFailures: true }, challenge: async (_, { wrongChallenge }) => wrongChallenge })
      const { code, message = '' } = statusOf(await device.checkIn())
      same(code, 'ERR_ENROLLMENT_REJECTED', 'the profile fails with')
      holdsTrue(/0x80070057/i.test(message), `the HRESULT 0x80070057 is not told: ${message}`)
    },
  },
  {
    id: 'servers.probe',
    on: ['windows'],
    given: 'GET of the SCEP URL without an operation, where the policy module is installed',
    expect: '403',
    source: 'SEED S57; ID-NDES health probe',
    facts: ['ndes.probe'],
    async run(context) {
      const { session, transport } = await context.device()
      const { status } = await transport.send({ method: 'GET', url: session.scepUrl, headers: {} })
      same(status, 403, 'HTTP status')
    },
  },
  {
    id: 'servers.url-length',
    on: ['windows'],
    given: 'a URL of 65534 characters, path and query, and one of 65535',
    expect: 'the first passes the filter, the second is answered 414',
    source: 'SEED S56; ID-NDES 414',
    facts: ['ndes.longest-url', 'ndes.too-long'],
    async run(context) {
      const { session, transport } = await context.device()
      const { origin } = new URL(session.scepUrl)
      const target = `${session.scepUrl.slice(origin.length)}?operation=PKIOperation&message=`
      const get = async (length: number) => {
        const { status } = await transport.send({ method: 'GET', url: origin + target.padEnd(length, 'A'), headers: {} })
        return status
      }
      holdsTrue((await get(65_534)) !== 414, 'a URL of 65534 characters is refused')
      same(await get(65_535), 414, 'HTTP status of a URL of 65535 characters')
    },
  },
  {
    id: 'servers.key-usage.template',
    on: usual,
    given: 'profiles whose key usage is to sign, to encrypt, and both',
    expect: 'NDES takes the template for signatures, for encryption, and for both; the certificate has those key usages',
    source: 'SEED S35, S36',
    facts: ['ndes.templates'],
    needs: ['issued'],
    async run(context) {
      for (const [keyUsages, template] of usages) {
        const { device } = await enrolled(context, { setup: { templatesByKeyUsage: true }, scep: { keyUsages: [...keyUsages] } })
        same(
          device.session.issued?.().map((issued) => issued.template),
          [template],
          'templates',
        )
        const leaf = await installed(device)
        same([...(leaf.keyUsage ?? [])].sort(), [...keyUsages].sort(), 'key usages')
      }
    },
  },
]

const usages = [
  [['digitalSignature'], 'Signature'],
  [['keyEncipherment'], 'Encryption'],
  [['digitalSignature', 'keyEncipherment'], 'GeneralPurpose'],
] as const
