import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { AgentError, type HttpRequest, type HttpResponse, type Jitter, softwareKeys } from '@certfleet/agent-core'
import { createCsr, parseCertificate } from '@certfleet/agent-core/pki'
import { verifyPkiRequest } from '@certfleet/agent-core/scep/messages'
import { factOverrides, facts, type PlatformName, platformAdapter } from '@certfleet/platforms'
import t, { type Test } from 'tap'
import { caCertificates, type Script, scriptedServer } from '../fakes/scep-server.ts'
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
    const digest = createHash(String(factValue(factId)))
      .update(key.publicKey)
      .digest('hex')
      .toUpperCase()
    const [first, second] = [
      transactionId((await attempt(t, platform, '14')).at(-1)),
      transactionId((await attempt(t, platform, '14')).at(-1)),
    ]
    t.equal(first, digest)
    t.equal(first.length, 40)
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

const hashes: readonly (readonly [factId: string, platform: PlatformName, asked: 'sha256' | 'sha512' | undefined, used: string])[] = [
  ['hash.honoured', 'windows', 'sha256', 'sha256'],
  ['hash.honoured', 'android', 'sha512', 'sha512'],
  ['android.scep.digest', 'android', 'sha256', 'sha512'],
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

/** What one attempt ends in where the server never gets as far as PKIOperation. */
async function refusal(platform: PlatformName, osVersion: string, capabilities: string) {
  const transport = recordingTransport(answer(capabilities))
  const adapter = platformAdapter(platform, bindings({ osVersion, transport, clock }))
  const csr = await createCsr({ ...scepProfile().request, key, hash: 'sha256' })
  const error = await adapter
    .protocolFor(scepProfile(), ca.root)
    .request({ csr, key }, new AbortController().signal)
    .catch((reason: unknown) => reason as AgentError)
  const operations = transport.sent.filter(({ url }) => url.includes('PKIOperation')).length
  return { code: error instanceof AgentError ? error.code : 'issued', operations }
}

const digestRows: readonly (readonly [factId: string, platform: PlatformName, osVersion: string, capabilities: string, code: string])[] = [
  ['ios.scep.needs-digest', 'ios', '10', 'DES3\nAES\n', 'ERR_ALGORITHM_REFUSED'],
  ['ios.scep.needs-digest', 'ios', '17', '', 'ERR_ALGORITHM_REFUSED'],
  ['ios.scep.needs-digest', 'ios', '9.3', 'DES3\n', 'ERR_HTTP_STATUS'],
  ['ios.scep.needs-digest', 'ios', '17', 'SHA-256\n', 'ERR_HTTP_STATUS'],
  ['ios.scep.needs-digest', 'ios', '17', 'SCEPStandard\n', 'ERR_HTTP_STATUS'],
  ['macos.scep.needs-digest', 'macos', '10.12', 'DES3\n', 'ERR_ALGORITHM_REFUSED'],
  ['macos.scep.needs-digest', 'macos', '10.11', 'DES3\n', 'ERR_HTTP_STATUS'],
  ['android.scep.no-capabilities', 'android', '14', '', 'ERR_HTTP_STATUS'],
  ['windows: no source asks for a digest', 'windows', '11', '', 'ERR_HTTP_STATUS'],
]

for (const [factId, platform, osVersion, capabilities, code] of digestRows) {
  t.test(`${factId}: ${platform} ${osVersion} at a CA that offers ${JSON.stringify(capabilities)}`, async (t) => {
    t.same(await refusal(platform, osVersion, capabilities), { code, operations: code === 'ERR_HTTP_STATUS' ? 1 : 0 })
  })
}

/** As openssl reads it from the envelope. */
function cipherOf(envelope: Uint8Array): string | undefined {
  const text = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input: envelope, encoding: 'utf8' })
  return /OBJECT\s*:(\S*-cbc)$/m.exec(text)?.[1]
}

const ndes = 'POSTPKIOperation\nRenewal\nSHA-512\nSHA-256\nSHA-1\nDES3\n'
const rfc = 'SCEPStandard\n'

const choices: readonly (readonly [factId: string, platform: PlatformName, capabilities: string, used: string])[] = [
  ['apple.scep.ndes-algorithms', 'ios', ndes, 'sha512, des-ede3-cbc'],
  ['apple.scep.ndes-algorithms', 'macos', ndes, 'sha512, des-ede3-cbc'],
  ['apple.scep.ndes-algorithms', 'ios', rfc, 'sha256, aes-128-cbc'],
  ['android.scep.digest', 'android', ndes, 'sha512, des-ede3-cbc'],
  ['android.scep.digest', 'android', rfc, 'sha256, aes-128-cbc'],
  ['android.scep.no-capabilities', 'android', '', 'sha256, aes-128-cbc'],
  ['android.scep.no-capabilities', 'android', '<html>busy</html>', 'sha256, aes-128-cbc'],
  ['windows: by the profile', 'windows', ndes, 'sha256, des-ede3-cbc'],
]

for (const [factId, platform, capabilities, used] of choices) {
  t.test(`${factId}: what ${platform} makes of ${JSON.stringify(capabilities)}`, async (t) => {
    const { hash, envelope } = verifyPkiRequest(
      messageOf((await attempt(t, platform, '14', { capabilities, hash: 'sha256' })).at(-1) as HttpRequest),
    )
    t.equal(`${hash}, ${cipherOf(envelope)}`, used)
  })
}

for (const [platform, serialNumber] of [
  ['ios', '01'],
  ['macos', '01'],
  ['android', '01'],
  ['windows', '01'],
] as const) {
  t.test(`scep.signer-key-usage, android.scep.signer-serial-number, apple.scep.nonce: who signs for ${platform}`, async (t) => {
    const [first, second] = [await attempt(t, platform, '14'), await attempt(t, platform, '14')].map((sent) =>
      verifyPkiRequest(messageOf(sent.at(-1) as HttpRequest)),
    )
    t.same([...(first?.signer.keyUsage ?? [])].sort(), factValue('scep.signer-key-usage'))
    t.equal(Buffer.from(first?.signer.serialNumber ?? []).toString('hex'), serialNumber)
    t.equal(first?.senderNonce.length, factValue('apple.scep.nonce'))
    t.notSame(first?.senderNonce, second?.senderNonce)
  })
}

t.test('android.scep.signer-serial-number, android.scep.transaction-id: what an embedder saw instead', async (t) => {
  const transport = recordingTransport(answer(modern))
  const overrides = factOverrides({ 'android.scep.signer-serial-number': 200, 'android.scep.transaction-id': 'sha256' })
  const adapter = platformAdapter('android', bindings({ osVersion: '14', transport, clock, overrides }))
  const csr = await createCsr({ ...scepProfile().request, key, hash: 'sha256' })
  await t.rejects(adapter.protocolFor(scepProfile(), ca.root).request({ csr, key }, new AbortController().signal))
  const { signer, transactionId: id } = verifyPkiRequest(messageOf(transport.sent.at(-1) as HttpRequest))
  t.equal(Buffer.from(signer.serialNumber).toString('hex'), '00c8')
  t.equal(id, createHash('sha256').update(key.publicKey).digest('hex').toUpperCase())
})

const three = ['https://a.example/scep', 'https://b.example/scep', 'https://c.example/scep']

/** Ranks in the order given, then zeros: what is drawn first is the rank of the first URL. */
function ranks(...drawn: number[]): Jitter {
  return { between: () => drawn.shift() ?? 0 }
}

/** Tries to enrol at several servers; `serves` says which one answers which operation. */
async function walk(platform: PlatformName, jitter: Jitter, serves: (host: string, operation: string) => boolean) {
  const sent: string[] = []
  const adapter = platformAdapter(
    platform,
    bindings({
      osVersion: '14',
      clock,
      jitter,
      transport: {
        async send(request) {
          const url = new URL(request.url)
          const [host = '', operation = ''] = [url.host.split('.')[0], url.searchParams.get('operation') ?? '']
          sent.push(`${host} ${operation}`)
          if (!serves(host, operation)) throw new AgentError('ERR_NETWORK', `${url.host} not reached`)
          return answer(modern)(request)
        },
      },
    }),
  )
  const protocol = adapter.protocolFor(scepProfile({ scepUrls: three }), ca.root)
  const csr = await createCsr({ ...scepProfile().request, key, hash: 'sha256' })
  return {
    sent,
    async go(): Promise<string> {
      const error = await protocol.request({ csr, key }, new AbortController().signal).catch((reason: unknown) => reason)
      return error instanceof AgentError ? error.code : 'issued'
    },
  }
}

const reached = 'ERR_HTTP_STATUS'
const walks: readonly (readonly [
  factId: string,
  platform: PlatformName,
  drawn: readonly number[],
  dead: string,
  hosts: string,
  code: string,
])[] = [
  ['android.scep.urls', 'android', [0.9, 0.1, 0.5], '', 'b b b', reached],
  ['android.scep.urls', 'android', [0.9, 0.1, 0.5], 'b', 'b c c c', reached],
  ['android.scep.urls', 'android', [0.9, 0.1, 0.5], 'bc', 'b c a a a', reached],
  ['android.scep.urls', 'android', [0.9, 0.1, 0.5], 'abc', 'b c a', 'ERR_NETWORK'],
  ['windows.scep.urls', 'windows', [0.9, 0.1, 0.5], '', 'a a a', reached],
  ['windows.scep.urls', 'windows', [0.9, 0.1, 0.5], 'a', 'a b b b', reached],
  ['windows.scep.urls', 'windows', [0.9, 0.1, 0.5], 'abc', 'a b c', 'ERR_NETWORK'],
  ['apple.scep.urls', 'ios', [0.9, 0.1, 0.5], '', 'a a a', reached],
  ['apple.scep.urls', 'ios', [0.9, 0.1, 0.5], 'a', 'a', 'ERR_NETWORK'],
  ['apple.scep.urls', 'macos', [0.9, 0.1, 0.5], 'a', 'a', 'ERR_NETWORK'],
]

for (const [factId, platform, drawn, dead, hosts, code] of walks) {
  t.test(`${factId}: ${platform} asks ${hosts} when ${dead === '' ? 'all serve' : `${dead} is dead`}`, async (t) => {
    const { go, sent } = await walk(platform, ranks(...drawn), (host) => !dead.includes(host))
    t.equal(await go(), code)
    t.equal(sent.map((call) => call.split(' ')[0]).join(' '), hosts)
  })
}

t.test('scep.same-server: a server that is lost in between fails the request, and the next try shuffles anew', async (t) => {
  const { go, sent } = await walk(
    'android',
    ranks(0.1, 0.5, 0.9, 0.9, 0.1, 0.5),
    (host, operation) => host !== 'a' || operation !== 'PKIOperation',
  )
  t.equal(await go(), 'ERR_NETWORK')
  t.same(sent, ['a GetCACaps', 'a GetCACert', 'a PKIOperation'], 'nobody else is asked')
  t.equal(await go(), reached)
  t.same(sent.slice(3), ['b GetCACaps', 'b GetCACert', 'b PKIOperation'])
})

t.test('scep.same-server: on Windows the next try begins at the first again', async (t) => {
  const { go, sent } = await walk('windows', ranks(), (host, operation) => host !== 'a' || operation === 'GetCACaps')
  t.equal(await go(), reached, 'it was lost before anything was asked for')
  t.same(sent.slice(0, 3), ['a GetCACaps', 'a GetCACert', 'b GetCACaps'])
  await go()
  t.equal(sent[5], 'a GetCACaps')
})

const replies: readonly (readonly [factId: string, platform: PlatformName, what: string, answering: Script['answering']])[] = [
  ['apple.scep.reply-checks', 'ios', 'nonce', (message) => ({ ...message, senderNonce: new Uint8Array(16) })],
  ['apple.scep.reply-checks', 'macos', 'transaction', (message) => ({ ...message, transactionId: 'F00' })],
  ['android.scep.reply-checks', 'android', 'nonce', (message) => ({ ...message, senderNonce: new Uint8Array(16) })],
  ['android.scep.reply-checks', 'android', 'transaction', (message) => ({ ...message, transactionId: 'F00' })],
]

for (const [factId, platform, what, answering] of replies) {
  t.test(`${factId}: ${platform} refuses a reply of another ${what}`, async (t) => {
    const server = scriptedServer(answering ? { answering } : {})
    const adapter = platformAdapter(
      platform,
      bindings({ osVersion: '14', clock: clockAt(1_800_000_000_000), transport: { send: server.handle } }),
    )
    const csr = await createCsr({ ...scepProfile().request, key, hash: 'sha256' })
    const request = adapter.protocolFor(scepProfile(), caCertificates.root).request({ csr, key }, new AbortController().signal)
    await t.rejects(request, { code: 'ERR_SCEP_REPLY_MISMATCH' })
    t.equal(server.received.length, 1)
  })
}
