import { buildCertificatesOnly, openSignedData } from '@certfleet/agent-core/cms'
import { octetString, printableString } from '@certfleet/agent-core/der'
import { type CertificateContents, isSelfSigned } from '@certfleet/agent-core/pki'
import type { LabOptions } from '@certfleet/emulator/lab'
import type { PlatformName } from '@certfleet/platforms'
import { runServerChecks, type ServerTarget, serverConformanceChecks } from '@certfleet/platforms/conformance'
import t from 'tap'
import { sharedKeys } from '#emulator/conformance/index.ts'
import { algorithmsIn } from '#platforms/conformance/wire.ts'
import {
  type Asked,
  afterBody,
  again,
  type Break,
  byMethod,
  challenge,
  challengeIn,
  empty,
  failInfoOf,
  failing,
  foreignServer,
  granting,
  grantingBlindly,
  inDes,
  issue,
  longerThan,
  messageOf,
  Oid,
  on,
  once,
  oneEachName,
  onlyOnce,
  onMessage,
  overSha1,
  pendingTwice,
  readable,
  resigned,
  sameSerialAtOnce,
  typed,
  without,
} from './foreign-server.ts'

t.setTimeout(120_000)

const { makeKeys } = sharedKeys('foreign')

interface Setting {
  readonly breaks?: Break
  readonly lab?: Partial<LabOptions>
  readonly target?: Partial<ServerTarget>
  /** One is prepared. */
  readonly rollOver?: true
}

async function judged({ breaks, lab, target, rollOver }: Setting, on: readonly PlatformName[] = ['ios']) {
  const server = await foreignServer(breaks, lab)
  if (rollOver) await server.world.lab.prepareRollOver(server.world.clock.now() + 30 * 86_400_000)
  const results = await runServerChecks(serverConformanceChecks, { target: { ...server.target, makeKeys, ...target }, platforms: on })
  const failed = results.filter(({ status }) => status === 'failed')
  return { results, failed, ids: failed.map(({ id }) => id.replace('server.', '')) }
}

/** Handed out one by one, all of them the same, as far as the server is concerned. */
const handedOut = { repeats: false, next: async () => challenge }

interface Mutant extends Setting {
  readonly name: string
  readonly on?: PlatformName
  readonly fails: readonly string[]
  /** A check that passes where it is skipped with the lab as it is, and the other way round. */
  readonly passes?: string
  readonly skips?: string
  /** Of the first that failed, or of the one that is skipped. */
  readonly reason?: RegExp
}

const mutants: readonly Mutant[] = [
  {
    name: 'no /pkiclient.exe',
    on: 'windows',
    breaks: async (request, next) => (new URL(request.url).pathname.endsWith('.exe') ? empty(404) : next(request)),
    fails: ['url-suffix'],
    reason: /status 404/,
  },
  { name: 'plain http', on: 'android', target: { url: 'http://scep.invalid/certsrv/mscep/mscep.dll' }, fails: ['https'] },
  {
    name: 'capabilities as a page',
    breaks: on('GetCACaps', typed('text/html; charset=utf-8')),
    fails: ['capabilities.answer'],
    reason: /text\/html/,
  },
  { name: 'capabilities without a type', breaks: on('GetCACaps', (response) => ({ ...response, headers: {} })), fails: [] },
  { name: 'no digest', breaks: without('SHA-256', 'SHA-512', 'SCEPStandard'), fails: ['capabilities.digest'] },
  { name: 'no AES', breaks: without('AES', 'SCEPStandard'), fails: ['capabilities.cipher'], reason: /3DES/ },
  { name: 'no POST listed', breaks: without('POSTPKIOperation', 'SCEPStandard'), fails: ['capabilities.post'] },
  { name: 'a bundle called a certificate', breaks: on('GetCACert', typed('application/x-x509-ca-cert')), fails: ['ca.content-type'] },
  {
    name: 'a bundle without the RA that signs',
    breaks: on('GetCACert', (response, _, { authority: { encryption, issuing, root } }) => ({
      ...response,
      body: buildCertificatesOnly({ certificates: [encryption.certificate.raw, issuing.certificate.raw, root.raw], crls: [] }),
    })),
    fails: ['ca.roles', 'reply.signer', 'get-cert', 'get-crl'],
    reason: /digitalSignature/,
  },
  ...(['android', 'windows'] as const).map((platform) => ({
    name: `${platform}: an RA of another CA's`,
    on: platform,
    breaks: on('GetCACert', (response, _, { authority: { encryption, signing, root } }) => ({
      ...response,
      body: buildCertificatesOnly({ certificates: [encryption.certificate.raw, signing.certificate.raw, root.raw], crls: [] }),
    })),
    fails: ['ca.roles', 'ca.path'],
    reason: /not issued by the CA itself/,
  })),
  { name: 'another root', target: { trust: { fingerprint: 'a'.repeat(64) } }, fails: ['ca.path'] },
  {
    name: 'enrolments that end in 500',
    breaks: onMessage('PKCSReq', '0', () => empty(500)),
    fails: ['enrol', 'concurrency'],
    reason: /HTTP status 500/,
  },
  {
    name: 'a certificate for another key',
    breaks: onMessage('PKCSReq', '0', async (asked) =>
      granting(asked, [await issue(asked, { publicKey: asked.world.authority.root.publicKey })]),
    ),
    fails: ['enrol', 'concurrency'],
    reason: /no certificate for its key/,
  },
  ...(
    [
      ['another subject', (asked) => ({ subject: asked.world.authority.root.subject }), /its subject is/],
      ['no alternative names', () => ({ extensions: [] }), /lacks the subject alternative name dns:/],
      ['a certificate that has expired', ({ world }) => ({ notAfter: world.clock.now() - 1 }), /it expired/],
      ['a certificate of nobody', ({ world }) => ({ signer: world.authority.signing.key }), /no valid path/],
    ] as const satisfies readonly (readonly [string, (asked: Asked) => Partial<CertificateContents>, RegExp])[]
  ).map(([name, contents, reason]) => ({
    name,
    breaks: once(onMessage('PKCSReq', '0', async (asked) => granting(asked, [await issue(asked, contents(asked))]))),
    fails: ['enrol.certificate', 'enrol.resend', 'renewal.by-request'],
    reason,
  })),
  {
    name: 'a serial number of 21 octets',
    breaks: once(
      onMessage('PKCSReq', '0', async (asked) => granting(asked, [await issue(asked, { serialNumber: new Uint8Array(21).fill(1) })])),
    ),
    fails: ['enrol'],
    reason: /21 octets/,
  },
  {
    name: 'a second certificate in the same transaction',
    breaks: onMessage(
      'PKCSReq',
      '0',
      again(async (asked) => granting(asked, [await issue(asked)])),
    ),
    fails: ['enrol.resend'],
    reason: /second certificate/,
  },
  { name: 'a server that decides later', lab: { approve: pendingTwice() }, fails: [], passes: 'pending' },
  {
    name: 'a server that forgets what is pending',
    lab: { approve: () => 'pending' },
    breaks: onMessage('CertPoll', '3', (asked) => resigned(asked, { attributes: failing('4') })),
    fails: ['enrol', 'pending', 'concurrency'],
  },
  {
    name: 'replies of no type',
    breaks: onMessage('PKCSReq', '0', ({ response }) => ({ ...response, headers: {} })),
    fails: ['reply.content-type'],
  },
  {
    name: 'a broken signature',
    breaks: onMessage('PKCSReq', '0', ({ response: { body } }) => Buffer.concat([body.subarray(0, -1), Buffer.of((body.at(-1) ?? 0) ^ 1)])),
    fails: ['enrol', 'reply.signature', 'concurrency'],
    reason: /what is no CertRep/,
  },
  {
    name: 'a reply that says to be a request',
    breaks: onMessage('PKCSReq', '0', (asked) => resigned(asked, { attributes: { [Oid.messageType]: printableString('19') } })),
    fails: ['reply.signature'],
    reason: /messageType of the answer is 19/,
  },
  {
    name: 'the CA signs in place of its RA',
    breaks: onMessage('PKCSReq', '0', (asked) => resigned(asked, { signer: asked.world.authority.issuing })),
    fails: ['reply.signer'],
    reason: /Issuing CA/,
  },
  {
    name: 'windows: the RA for encryption signs',
    on: 'windows',
    breaks: onMessage('PKCSReq', '0', (asked) => resigned(asked, { signer: asked.world.authority.encryption })),
    fails: ['reply.signer'],
    reason: /RA Encryption/,
  },
  {
    name: 'another transactionID',
    breaks: onMessage('PKCSReq', '0', (asked) => resigned(asked, { attributes: { [Oid.transactionId]: printableString('ANOTHER') } })),
    fails: ['reply.transaction'],
  },
  {
    name: 'another nonce',
    breaks: onMessage('PKCSReq', '0', (asked) =>
      resigned(asked, { attributes: { [Oid.recipientNonce]: octetString(new Uint8Array(16)) } }),
    ),
    fails: ['reply.nonce'],
    reason: /recipientNonce of the answer is 0{32}/,
  },
  {
    name: 'no nonce of its own',
    breaks: onMessage('PKCSReq', '0', (asked) => resigned(asked, { attributes: { [Oid.senderNonce]: undefined } })),
    fails: ['reply.nonce'],
    reason: /no senderNonce/,
  },
  { name: 'SHA-1', breaks: onMessage('PKCSReq', '0', overSha1), fails: ['enrol', 'reply.digest'], reason: /legacy-sha1/ },
  {
    name: 'SHA-1, allowed',
    breaks: onMessage('PKCSReq', '0', overSha1),
    target: { legacySha1: true },
    fails: ['reply.digest'],
    reason: /SHA-1/,
  },
  { name: 'single DES', breaks: onMessage('PKCSReq', '0', inDes), fails: ['enrol', 'reply.cipher'], reason: /legacy-des/ },
  {
    name: 'single DES, allowed',
    breaks: onMessage('PKCSReq', '0', inDes),
    target: { legacyDes: true },
    fails: ['reply.cipher'],
    reason: /single DES/,
  },
  {
    name: 'any challenge is taken',
    breaks: onMessage('PKCSReq', '2', async (asked) =>
      (await challengeIn(asked)) === undefined || failInfoOf(asked.reply) !== '2' ? asked.response : granting(asked, [await issue(asked)]),
    ),
    fails: ['challenge.wrong'],
    reason: /a certificate was issued to a wrong challenge/,
  },
  {
    name: 'no challenge is needed',
    breaks: onMessage('PKCSReq', '2', async (asked) =>
      (await challengeIn(asked)) === undefined && isSelfSigned(asked.request.signer)
        ? granting(asked, [await issue(asked)])
        : asked.response,
    ),
    fails: ['challenge.missing'],
  },
  {
    name: 'a no is an HTTP error',
    breaks: onMessage('PKCSReq', '2', () => empty(403)),
    fails: ['challenge.wrong', 'challenge.missing'],
    reason: /HTTP status 403/,
  },
  { name: 'a one-time challenge is taken twice', target: { challenges: handedOut }, fails: ['challenge.reused'] },
  {
    name: 'no RenewalReq',
    breaks: onMessage('RenewalReq', '0', (asked) => resigned(asked, { attributes: failing('2') })),
    fails: ['renewal.by-request'],
    reason: /FAILURE/,
  },
  {
    name: 'a renewal by certificate breaks the server',
    breaks: onMessage('PKCSReq', '0', ({ request, response }) => (isSelfSigned(request.signer) ? response : empty(500))),
    fails: ['renewal.by-certificate'],
  },
  { name: 'one certificate a name', breaks: oneEachName(), fails: ['renewal.by-challenge'] },
  { name: 'single DES is read', lab: { legacyDes: true }, fails: ['algorithms.des'], reason: /single DES is answered with SUCCESS/ },
  {
    name: 'MD5 is read',
    breaks: on('PKIOperation', async (response, request, world) =>
      algorithmsIn(messageOf(request)).includes('MD5') ? { ...response, body: await grantingBlindly(world) } : response,
    ),
    fails: ['algorithms.md5'],
  },
  { name: 'SHA-1 is read', lab: { legacySha1: true }, breaks: without('SHA-1'), fails: ['algorithms.sha1'] },
  {
    name: 'a broken signature is a bad request',
    breaks: on('PKIOperation', async (response, request, world) => {
      const isWhole = readable(request) !== undefined || response.status !== 200 || algorithmsIn(messageOf(request)).includes('MD5')
      if (isWhole) return response
      const reply = openSignedData(response.body, { signers: 'enclosed' })
      return { ...response, body: await resigned({ reply, world }, { attributes: failing('2') }) }
    }),
    fails: ['message.signature'],
    reason: /FAILURE badRequest/,
  },
  {
    name: 'what cannot be decrypted is granted',
    breaks: onMessage('PKCSReq', '2', ({ reply, response, world }) => (failInfoOf(reply) === '1' ? grantingBlindly(world) : response)),
    fails: ['message.recipient'],
  },
  {
    name: 'GetCACert once and never again',
    breaks: onlyOnce('GetCACert'),
    fails: ['ca.unknown', 'get-cert', 'get-crl'],
    reason: /ERR_HTTP_STATUS/,
  },
  { name: 'GetNextCACert breaks', breaks: on('GetNextCACert', () => empty(500)), fails: ['next-ca'], reason: /missing/ },
  { name: 'GetNextCACert is not listed', breaks: without('GetNextCACert'), rollOver: true, fails: ['next-ca'], reason: /does not list it/ },
  { name: 'GetNextCACert as it should be', rollOver: true, fails: [], passes: 'next-ca' },
  { name: 'GetNextCACert of no type', rollOver: true, breaks: on('GetNextCACert', typed('')), fails: ['next-ca'], reason: /content type/ },
  { name: 'GetCert breaks', breaks: onMessage('GetCert', '0', () => empty(500)), fails: ['get-cert'] },
  {
    name: 'GetCert of another certificate',
    breaks: onMessage('GetCert', '0', (asked) => granting(asked, [asked.world.authority.root.raw])),
    fails: ['get-cert'],
    reason: /ERR_CERTIFICATE_MISMATCH/,
  },
  {
    name: 'GetCRL without a CRL',
    breaks: onMessage('GetCRL', '0', (asked) => granting(asked, [asked.world.authority.root.raw])),
    fails: ['get-crl'],
    reason: /ERR_CERTIFICATE_UNTRUSTED/,
  },
  {
    name: 'no GetCRL',
    breaks: onMessage('GetCRL', '0', (asked) => resigned(asked, { attributes: failing('2') })),
    fails: [],
    skips: 'get-crl',
  },
  {
    name: 'wrong challenges by POST break',
    breaks: byMethod('POST', () => empty(405)),
    fails: ['challenge.wrong', 'challenge.missing', 'method.post'],
  },
  {
    name: 'a "+" that was escaped is lost',
    breaks: (request, next) => next({ ...request, url: request.url.replaceAll('%2B', '!') }),
    fails: ['method.get'],
  },
  { name: '414 too early', breaks: longerThan(16_384, 414), fails: ['url-length'], reason: /65534 characters is answered with 414/ },
  { name: 'no limit on URLs', breaks: longerThan(65_534, 400), fails: ['url-length'], reason: /one more with 400/ },
  {
    name: 'a 414 that is not NDES',
    target: { url: 'https://scep.invalid/scep' },
    breaks: longerThan(16_384, 414),
    fails: [],
    skips: 'url-length',
    reason: /65534 characters is answered with 414/,
  },
  {
    name: 'garbage is welcome',
    breaks: on('PKIOperation', (response, { body }) => (body?.length === 1024 ? { ...empty(200) } : response)),
    fails: ['message.garbage'],
    reason: /no CertRep/,
  },
  {
    name: 'garbage ends the server',
    breaks: afterBody(1024),
    fails: ['message.garbage', 'message.oversized'],
    reason: /after a message of random octets/,
  },
  {
    name: 'four MiB are welcome',
    breaks: on('PKIOperation', (response, { body }) => ((body?.length ?? 0) > 2 ** 20 ? { ...empty(200) } : response)),
    fails: ['message.oversized'],
  },
  {
    name: 'a counter without a lock',
    breaks: sameSerialAtOnce(),
    fails: ['concurrency'],
    reason: /duplicate serial numbers of 3 requests at once: 07 on 3/,
  },
]

for (const { name, on: platform = 'ios', fails, passes, skips, reason, ...setting } of mutants)
  t.test(name, async (t) => {
    const { results, failed, ids } = await judged(setting, [platform])
    const statusOf = (id: string) => results.find((result) => result.id === `server.${id}`)
    t.same(ids, fails)
    if (process.env.SHOW) for (const one of failed) t.comment(`${one.id}: ${one.reason}`)
    if (passes) t.match(statusOf(passes), { status: 'passed' })
    if (skips) t.match(statusOf(skips), { status: 'skipped' })
    if (reason) t.match((failed[0] ?? statusOf(skips ?? ''))?.reason, reason)
    for (const one of results) t.notMatch(one.reason, challenge)
  })

t.test('every check is seen to fail', async (t) => {
  const broken = new Set(mutants.flatMap(({ fails }) => fails))
  t.same(
    serverConformanceChecks.map(({ id }) => id.replace('server.', '')).filter((id) => !broken.has(id)),
    [],
  )
})
