import type { HttpResponse } from '@certfleet/agent-core'
import { issuerAndSerialNumber } from '@certfleet/agent-core/cms'
import { parseCaCertificates } from '@certfleet/agent-core/scep/messages'
import { type Check, holdsTrue, same } from '../check.ts'
import { assigned, enrolled, refused, statusOf } from '../documents.ts'
import { algorithmsIn, messageOf, operationOf, operations, pkiMessages, pkiOperations } from '../wire.ts'
import { withCapabilities } from './wire.ts'

const usual = ['ios', 'macos', 'android', 'windows'] as const

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
    id: 'servers.reply.replayed',
    on: usual,
    given: 'a server that answers with the reply to an earlier request',
    expect: 'it is refused: transactionID and nonce are those of another request',
    source: 'J EnrollmentTransaction; RFC8894 3.2.1.5',
    facts: ['android.scep.reply-checks'],
    async run(context) {
      let first: HttpResponse | undefined
      const { device } = await enrolled(context, {
        async between(request, send) {
          if (operationOf(request) !== 'PKIOperation') return send(request)
          first ??= await send(request)
          return first
        },
      })
      await device.identities.remove('device/wifi')
      same(statusOf(await device.checkIn()).code, 'ERR_SCEP_REPLY_MISMATCH', 'the profile fails with')
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
]
