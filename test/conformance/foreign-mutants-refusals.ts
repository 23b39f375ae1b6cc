import { openSignedData } from '@certfleet/agent-core/cms'
import { isSelfSigned } from '@certfleet/agent-core/pki'
import { algorithmsIn } from '#platforms/conformance/wire.ts'
import { afterBody, byMethod, challengeIn, failInfoOf, longerThan, oneEachName, onlyOnce, sameSerialAtOnce } from './foreign-breaks.ts'
import type { Mutant } from './foreign-mutant.ts'
import {
  challenge,
  empty,
  failing,
  granting,
  grantingBlindly,
  issue,
  messageOf,
  on,
  onMessage,
  readable,
  resigned,
  typed,
  without,
} from './foreign-server.ts'

/** Handed out one by one, all of them the same, as far as the server is concerned. */
const handedOut = { repeats: false, next: async () => challenge }

/** In whom and what a server refuses, and in what else it is asked. */
export const refusalMutants: readonly Mutant[] = [
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
