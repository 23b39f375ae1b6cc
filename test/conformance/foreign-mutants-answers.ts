import { AgentError } from '@certfleet/agent-core'
import { buildCertificatesOnly } from '@certfleet/agent-core/cms'
import { octetString, printableString } from '@certfleet/agent-core/der'
import type { CertificateContents } from '@certfleet/agent-core/pki'
import { again, inDes, once, overSha1, pendingTwice } from './foreign-breaks.ts'
import type { Mutant } from './foreign-mutant.ts'
import { type Asked, empty, failing, granting, issue, Oid, on, onMessage, resigned, typed, without } from './foreign-server.ts'

/** In what a server shows of itself, and in how it answers an enrolment. */
export const answerMutants: readonly Mutant[] = [
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
  { name: 'no digest', breaks: without('SHA-256', 'SHA-512', 'SCEPStandard'), fails: ['capabilities.digest', 'get-cert', 'get-crl'] },
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
    name: 'GetCACert as a page',
    breaks: on('GetCACert', (response) => ({ ...response, body: Buffer.from('<html>') })),
    fails: ['ca.content-type', 'ca.roles', 'ca.path', 'ca.unknown'],
    reason: /ERR_DER_MALFORMED/,
  },
  {
    name: 'SHA-1 and nothing better',
    breaks: on('GetCACaps', (response) => ({ ...response, body: Buffer.from('AES\nSHA-1\nPOSTPKIOperation') })),
    fails: ['capabilities.digest', 'enrol'],
  },
  {
    name: 'PKIOperation that is cut off',
    breaks: on('PKIOperation', () => {
      throw new AgentError('ERR_NETWORK', 'the connection was cut')
    }),
    fails: [
      'enrol',
      'challenge.wrong',
      'challenge.missing',
      'algorithms.des',
      'algorithms.md5',
      'algorithms.sha1',
      'message.signature',
      'message.recipient',
      'method.post',
      'method.get',
      'url-length',
      'concurrency',
    ],
    reason: /ERR_NETWORK/,
  },
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
    name: 'PENDING of another transaction',
    lab: { approve: pendingTwice() },
    breaks: onMessage('PKCSReq', '3', (asked) => resigned(asked, { attributes: { [Oid.transactionId]: printableString('ANOTHER') } })),
    fails: ['pending'],
    reason: /another transactionID/,
  },
  {
    name: 'a server that forgets what is pending',
    lab: { approve: () => 'pending' },
    breaks: onMessage('CertPoll', '3', (asked) => resigned(asked, { attributes: failing('4') })),
    fails: ['enrol', 'pending'],
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
]
