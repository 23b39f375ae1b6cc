import { execFileSync } from 'node:child_process'
import { type HttpRequest, type HttpResponse, softwareKeys } from '@certfleet/agent-core'
import { createCsr, parseCertificate } from '@certfleet/agent-core/pki'
import { facts, type PlatformName, platformAdapter } from '@certfleet/platforms'
import t, { type Test } from 'tap'
import { testCa } from './certificates.ts'
import { bindings, clockAt, recordingTransport, scepProfile } from './device.ts'

const ca = testCa(t.testdir())
const clock = clockAt(parseCertificate(ca.root).notBefore)
const key = await softwareKeys().generate({ algorithm: 'rsa', bits: 2048 }, 'device-1')
const modern = 'AES\nPOSTPKIOperation\nSHA-256\nSHA-512\n'
const withoutPost = 'AES\nSHA-256\n'

/** A CA that tells what it is and then breaks off, so that what a client asks can be seen. */
function answer(capabilities: string): (request: HttpRequest) => HttpResponse {
  return ({ url }) => {
    const operation = new URL(url).searchParams.get('operation')
    if (operation === 'GetCACaps') return { status: 200, headers: { 'content-type': 'text/plain' }, body: Buffer.from(capabilities) }
    if (operation === 'GetCACert') return { status: 200, headers: { 'content-type': 'application/x-x509-ca-cert' }, body: ca.root }
    return { status: 500, headers: {}, body: new Uint8Array() }
  }
}

interface Wish {
  readonly capabilities?: string
  readonly hash?: 'sha256' | 'sha512'
}

/** What one attempt to enrol puts on the wire. */
async function attempt(t: Test, platform: PlatformName, osVersion: string, { capabilities = modern, hash }: Wish = {}) {
  const transport = recordingTransport(answer(capabilities))
  const profile = scepProfile({ displayName: 'Wi-Fi & more', ...(hash && { hash }) })
  const adapter = platformAdapter(platform, bindings({ osVersion, transport, clock }))
  const csr = await createCsr({ ...profile.request, key, hash: 'sha256' })
  const request = adapter.protocolFor(profile, ca.root).request({ csr, key }, new AbortController().signal)
  await t.rejects(request, { code: 'ERR_HTTP_STATUS' }, 'the server breaks off')
  return transport.sent
}

const messageOf = ({ url, body }: HttpRequest): Uint8Array => body ?? Buffer.from(new URL(url).searchParams.get('message') ?? '', 'base64')

/** The subject of the signer's certificate, as openssl reads it from the message. */
function signerSubject(request: HttpRequest | undefined): string {
  const input = messageOf(request as HttpRequest)
  return execFileSync('openssl', ['pkcs7', '-inform', 'DER', '-print_certs', '-noout'], { input, encoding: 'utf8' })
}

const base = 'https://ndes.example.test/certsrv/mscep/mscep.dll'
const name = 'Wi-Fi%20%26%20more'

const wires: readonly (readonly [
  factIds: string,
  platform: PlatformName,
  osVersion: string,
  calls: readonly string[],
  userAgent: string,
  signer: RegExp,
])[] = [
  [
    'ios.scep.order, apple.scep.message, apple.scep.url-suffix, ios.scep.user-agent, apple.scep.signer',
    'ios',
    '17.4',
    [
      `GET ${base}?operation=GetCACert&message=${name}`,
      `GET ${base}?operation=GetCACaps&message=${name}`,
      `POST ${base}?operation=PKIOperation`,
    ],
    'profiled/1.0 CFNetwork',
    /subject=\/?CN ?= ?[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\n/,
  ],
  [
    'macos.scep.order, apple.scep.message, apple.scep.url-suffix, macos.scep.user-agent, apple.scep.signer',
    'macos',
    '14.4',
    [
      `GET ${base}?operation=GetCACert&message=${name}`,
      `GET ${base}?operation=GetCACaps&message=${name}`,
      `POST ${base}?operation=PKIOperation`,
    ],
    'mdmclient CFNetwork',
    /subject=\/?CN ?= ?[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\n/,
  ],
  [
    'android.scep.order, android.scep.message, android.scep.url-suffix, android.scep.user-agent, android.scep.signer',
    'android',
    '13',
    [`GET ${base}?operation=GetCACaps&message=ca`, `GET ${base}?operation=GetCACert&message=ca`, `POST ${base}?operation=PKIOperation`],
    'Dalvik/2.1.0 (Linux; U; Android 13)',
    /subject=\/?CN ?= ?device-1\n/,
  ],
  [
    'windows.scep.order, windows.scep.message, windows.scep.url-suffix, windows.scep.user-agent, windows.scep.signer',
    'windows',
    '10.0.19045',
    [
      `GET ${base}/pkiclient.exe?operation=GetCACaps&message=default`,
      `GET ${base}/pkiclient.exe?operation=GetCACert&message=default`,
      `POST ${base}/pkiclient.exe?operation=PKIOperation`,
    ],
    'Mozilla/4.0 (compatible; Win32; NDES client)',
    /subject=\/?CN ?= ?device-1\n/,
  ],
]

for (const [factIds, platform, osVersion, calls, userAgent, signer] of wires) {
  t.test(`${factIds}: ${platform} ${osVersion} on the wire`, async (t) => {
    const sent = await attempt(t, platform, osVersion)
    t.same(
      sent.map(({ method, url }) => `${method} ${url}`),
      calls,
    )
    for (const request of sent) t.equal(request.headers['user-agent'], userAgent)
    t.match(signerSubject(sent.at(-1)), signer)
  })
}

const factValue = (factId: string): unknown => facts.find(({ id }) => id === factId)?.value

const operations: readonly (readonly [factId: string, platform: PlatformName, capabilities: string, offersPost: boolean])[] = [
  ['apple.scep.pki-operation', 'ios', modern, true],
  ['apple.scep.pki-operation', 'ios', withoutPost, false],
  ['apple.scep.pki-operation', 'macos', modern, true],
  ['apple.scep.pki-operation', 'macos', withoutPost, false],
]

for (const [factId, platform, capabilities, offersPost] of operations) {
  t.test(`${factId}: ${platform} sends PKIOperation to a server that ${offersPost ? 'offers' : 'does not offer'} POST`, async (t) => {
    const byPost = offersPost && factValue(factId) === 'post-if-offered'
    t.equal((await attempt(t, platform, '14', { capabilities })).at(-1)?.method, byPost ? 'POST' : 'GET')
  })
}

const transactionIds: readonly (readonly [factId: string, platform: PlatformName])[] = [
  ['apple.scep.transaction-id', 'ios'],
  ['apple.scep.transaction-id', 'macos'],
  ['android.scep.transaction-id', 'android'],
]

for (const [factId, platform] of transactionIds) {
  t.test(`${factId}: the transactionID of ${platform} is upper-case hex, and the key's own`, async (t) => {
    const pattern = new RegExp(String(factValue(factId)))
    const [first, second] = [
      transactionId((await attempt(t, platform, '14')).at(-1)),
      transactionId((await attempt(t, platform, '14')).at(-1)),
    ]
    t.match(first, pattern)
    t.equal(first, second, 'asking again is asking for the same')
  })
}

/** The value of the attribute 2.16.840.1.113733.1.9.7, as openssl reads it from the message. */
function transactionId(request: HttpRequest | undefined): string {
  const input = messageOf(request as HttpRequest)
  const lines = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input, encoding: 'utf8', maxBuffer: 1 << 24 }).split('\n')
  const at = lines.findIndex((line) => line.includes('2.16.840.1.113733.1.9.7') || /transID/.test(line))
  return /PRINTABLESTRING\s*:(.*)$/.exec(lines[at + 2] ?? '')?.[1] ?? ''
}

const hashes: readonly (readonly [factId: string, platform: PlatformName, asked: 'sha256' | undefined, used: string])[] = [
  ['hash.honoured', 'windows', 'sha256', 'sha256'],
  ['hash.honoured', 'android', 'sha256', 'sha256'],
  ['hash.apple-negotiated', 'ios', 'sha256', 'sha512'],
  ['hash.apple-negotiated', 'macos', undefined, 'sha512'],
]

for (const [factId, platform, asked, used] of hashes) {
  t.test(`${factId}: ${platform} asked for ${asked ?? 'nothing'} signs with ${used} where the CA offers SHA-512`, async (t) => {
    const sent = await attempt(t, platform, '14', asked ? { hash: asked } : {})
    const input = messageOf(sent.at(-1) as HttpRequest)
    const text = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input, encoding: 'utf8', maxBuffer: 1 << 24 })
    t.equal(/OBJECT\s*:(sha\d+)\n/.exec(text)?.[1], used, 'the first digestAlgorithm of the SignedData')
  })
}
