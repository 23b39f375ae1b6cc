import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import { formatName } from '@certfleet/agent-core/pki'
import { type Check, holdsTrue, type SystemUnderTest, same } from '../check.ts'
import { assigned, enrolled, refused } from '../documents.ts'
import type { TargetSession } from '../target.ts'
import { messageOf, operationOf, operations, pkiMessages, pkiOperations } from '../wire.ts'

const usual = ['ios', 'macos', 'android', 'windows'] as const
const uuid = /^CN=[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/

interface Fingerprint {
  readonly on: SystemUnderTest
  readonly order: readonly string[]
  readonly message: string
  readonly path: string
  readonly userAgent: string
  readonly signer: RegExp
  readonly source: string
  /** `<prefix>.<order | message | url-suffix | user-agent | signer>`. */
  readonly facts: readonly [order: string, message: string, path: string, userAgent: string, signer: string]
}

const fingerprints: readonly Fingerprint[] = [
  {
    on: 'ios',
    order: ['GetCACert', 'GetCACaps', 'PKIOperation'],
    message: 'Corporate Wi-Fi',
    path: 'mscep.dll',
    userAgent: 'profiled/1.0 CFNetwork',
    signer: uuid,
    source: 'ID-NDES iOS log; ID-DEL iOS log; A-SEC SecSCEP',
    facts: ['ios.scep.order', 'apple.scep.message', 'apple.scep.url-suffix', 'ios.scep.user-agent', 'apple.scep.signer'],
  },
  {
    on: 'macos',
    order: ['GetCACert', 'GetCACaps', 'PKIOperation'],
    message: 'Corporate Wi-Fi',
    path: 'mscep.dll',
    userAgent: 'mdmclient CFNetwork',
    signer: uuid,
    source: 'MICROMDM #436; A-SEC SecSCEP; ID-NDES iOS log',
    facts: ['macos.scep.order', 'apple.scep.message', 'apple.scep.url-suffix', 'macos.scep.user-agent', 'apple.scep.signer'],
  },
  {
    on: 'android',
    order: ['GetCACaps', 'GetCACert', 'PKIOperation'],
    message: 'ca',
    path: 'mscep.dll',
    userAgent: 'Dalvik/2.1.0 (Linux; U; Android 13)',
    signer: /^CN=device-1, ?O=Example$/,
    source: 'ID-NDES Android log',
    facts: ['android.scep.order', 'android.scep.message', 'android.scep.url-suffix', 'android.scep.user-agent', 'android.scep.signer'],
  },
  {
    on: 'windows',
    order: ['GetCACaps', 'GetCACert', 'PKIOperation'],
    message: 'default',
    path: 'pkiclient.exe',
    userAgent: 'Mozilla/4.0 (compatible; Win32; NDES client)',
    signer: /^CN=device-1, ?O=Example$/,
    source: 'ID-NDES NDES log; RFC8894 2.3',
    facts: ['windows.scep.order', 'windows.scep.message', 'windows.scep.url-suffix', 'windows.scep.user-agent', 'windows.scep.signer'],
  },
]

const given = 'an ordinary enrolment'

function fingerprintChecks({ on, order, message, path, userAgent, signer, source, facts }: Fingerprint): readonly Check[] {
  const row = (what: string, expect: string, fact: string, run: Check['run']): Check => {
    return { id: `wire.${what}`, on: [on], given, expect, source, facts: [fact], run }
  }
  return [
    row('order', `the calls are ${order.join(', ')}`, facts[0], async (context) => {
      same(operations((await enrolled(context)).device), order, 'calls')
    }),
    row('message', `GetCACaps and GetCACert carry message=${message}`, facts[1], async (context) => {
      const { device } = await enrolled(context)
      const questions = device.exchanges.map(({ request }) => request).filter((request) => operationOf(request) !== 'PKIOperation')
      same(
        questions.map(({ url }) => new URL(url).searchParams.get('message')),
        [message, message],
        'message parameters',
      )
    }),
    row('path', `every call goes to …/${path}`, facts[2], async (context) => {
      const { device } = await enrolled(context)
      const ends = device.exchanges.map(({ request }) => new URL(request.url).pathname.split('/').at(-1))
      same(ends, [path, path, path], 'ends of the paths')
    }),
    row('user-agent', `every call has the user agent ${userAgent}`, facts[3], async (context) => {
      const { device } = await enrolled(context)
      const agents = device.exchanges.map(({ request }) => request.headers['user-agent'])
      same(agents, [userAgent, userAgent, userAgent], 'user agents')
    }),
    row('signer', `the request is signed by a self-signed certificate of the subject ${shown(signer)}`, facts[4], async (context) => {
      const [message] = pkiMessages((await enrolled(context)).device)
      holdsTrue(message !== undefined, 'no request was sent')
      const subject = formatName(message.signer.subject)
      holdsTrue(signer.test(subject), `the signer is ${subject}, expected ${shown(signer)}`)
      same(formatName(message.signer.issuer), subject, 'the issuer of the signer')
    }),
  ]
}

const shown = (signer: RegExp): string => (signer === uuid ? 'CN=<a UUID>' : 'of the CSR')

/** Answers GetCACaps in the server's place. */
export const withCapabilities =
  (text: string, status = 200) =>
  async (request: HttpRequest, send: (request: HttpRequest) => Promise<HttpResponse>): Promise<HttpResponse> =>
    operationOf(request) === 'GetCACaps' ? { status, headers: { 'content-type': 'text/plain' }, body: Buffer.from(text) } : send(request)

const method = (id: string, capabilities: string, expected: 'POST' | 'GET'): Check => ({
  id,
  on: ['ios', 'macos'],
  given: `a server that ${expected === 'POST' ? 'offers' : 'does not offer'} POSTPKIOperation`,
  expect: `PKIOperation goes by ${expected}`,
  source: 'MICROMDM #436, #453; ID-NDES iOS log',
  facts: ['apple.scep.pki-operation', expected === 'POST' ? 'scep.post-body' : 'scep.get-encoding'],
  async run(context) {
    const { device } = await enrolled(context, { between: withCapabilities(capabilities) })
    same(
      pkiOperations(device).map((request) => [request.method, request.headers['content-type'], messageOf(request)[0]]),
      [[expected, expected === 'POST' ? 'application/x-pki-message' : undefined, 0x30]],
      'method, media type and first octet of PKIOperation',
    )
  },
})

const overHttp = ({ scepUrl }: TargetSession) => ({ scepUrls: [scepUrl.replace(/^https:/, 'http:')] })

/** What SCEP clients look like on the wire. */
export const wireChecks: readonly Check[] = [
  ...fingerprints.flatMap(fingerprintChecks),
  {
    id: 'wire.transaction-id',
    on: usual,
    given: 'an enrolment whose reply is lost, and the next try',
    expect: 'the transactionID is upper-case hex, and the same both times: a resend',
    source: 'A-SEC SecSCEP; ID-NDES Android log',
    facts: ['apple.scep.transaction-id', 'android.scep.transaction-id'],
    needs: ['advance'],
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
      await device.checkIn()
      const [first, second] = pkiMessages(device).map(({ transactionId }) => transactionId)
      holdsTrue(/^[0-9A-F]{40,}$/.test(first ?? ''), `the transactionID is ${first}, expected upper-case hex`)
      same(second, first, 'the transactionID of the resend')
    },
  },
  {
    id: 'wire.nonce',
    on: usual,
    given: 'two enrolments',
    expect: 'each has a senderNonce of 16 octets of its own',
    source: 'A-SEC SecSCEP; RFC8894 3.2.1.5',
    facts: ['apple.scep.nonce'],
    async run(context) {
      const nonces = []
      for (let i = 0; i < 2; i++) {
        const device = await assigned(context)
        await device.checkIn()
        nonces.push(...pkiMessages(device).map(({ senderNonce }) => senderNonce))
      }
      same(
        nonces.map(({ length }) => length),
        [16, 16],
        'octets of the nonces',
      )
      holdsTrue(Buffer.compare(nonces[0] as Uint8Array, nonces[1] as Uint8Array) !== 0, 'both have the same nonce')
    },
  },
  method('wire.pki-operation.post', 'AES\nPOSTPKIOperation\nSHA-256\n', 'POST'),
  method('wire.pki-operation.get', 'AES\nSHA-256\n', 'GET'),
  {
    id: 'wire.hash.profile',
    on: ['windows'],
    given: 'a profile that asks for SHA-256, and a server that offers SHA-512 too',
    expect: 'the request is signed over SHA-256',
    source: 'SEED S38',
    facts: ['hash.honoured'],
    async run(context) {
      const { device } = await enrolled(context, { scep: { hash: 'sha256' } })
      same(
        pkiMessages(device).map(({ hash }) => hash),
        ['sha256'],
        'digests',
      )
    },
  },
  {
    id: 'wire.hash.strongest',
    on: ['android'],
    given: 'a profile that asks for SHA-256, and a server that offers SHA-512 too',
    expect: 'the message is signed over SHA-512: what the profile asks for is for the CSR',
    source: 'J Client',
    facts: ['android.scep.digest'],
    async run(context) {
      const { device } = await enrolled(context, { scep: { hash: 'sha256' } })
      same(
        pkiMessages(device).map(({ hash }) => hash),
        ['sha512'],
        'digests',
      )
    },
  },
  {
    id: 'wire.hash.negotiated',
    on: ['ios', 'macos'],
    given: 'a server that offers SHA-256 and SHA-512, and a setting that this system does not have',
    expect: 'the request is signed over SHA-512',
    source: 'SEED A10; ID-NDES PKIOperation',
    facts: ['hash.apple-negotiated'],
    async run(context) {
      const { device } = await enrolled(context, { scep: { hash: 'sha256' } })
      same(
        pkiMessages(device).map(({ hash }) => hash),
        ['sha512'],
        'digests',
      )
    },
  },
  {
    id: 'wire.http',
    on: ['ios', 'macos', 'windows'],
    given: 'a SCEP URL of plain http',
    expect: 'it is taken',
    source: 'SEED S30; M-SCEP SCEP server URLs',
    facts: ['apple.scep.http', 'windows.scep.http'],
    async run(context) {
      await enrolled(context, { scep: overHttp })
    },
  },
  {
    id: 'wire.signer.serial-number',
    on: ['android'],
    given: 'an ordinary enrolment',
    expect: 'the certificate that signs the request has the serial number 1',
    source: 'ID-NDES Android log',
    facts: ['android.scep.signer-serial-number'],
    async run(context) {
      const { device } = await enrolled(context)
      same(
        pkiMessages(device).map(({ signer }) => Buffer.from(signer.serialNumber).toString('hex')),
        ['01'],
        'serial numbers',
      )
    },
  },
  {
    id: 'wire.url-query',
    on: ['android'],
    given: 'a SCEP URL with a query',
    expect: 'the profile fails, and nobody is called',
    source: 'J Client',
    facts: ['android.scep.url-query'],
    async run(context) {
      const device = await refused(context, 'ERR_UNSUPPORTED', { scep: ({ scepUrl }) => ({ scepUrls: [`${scepUrl}?tenant=1`] }) })
      same(operations(device), [], 'calls')
    },
  },
  {
    id: 'wire.https-only',
    on: ['android'],
    given: 'a SCEP URL of plain http',
    expect: 'the profile fails, and nobody is called',
    source: 'M-SCEP SCEP server URLs',
    facts: ['android.scep.https-only'],
    async run(context) {
      same(operations(await refused(context, 'ERR_UNSUPPORTED', { scep: overHttp })), [], 'calls')
    },
  },
]
