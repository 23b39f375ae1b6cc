import { execFileSync } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import {
  createCsr,
  type EnrollmentOutcome,
  type HttpRequest,
  type HttpResponse,
  handlerTransport,
  type KeyHandle,
  type ScepHabits,
  type ScepProtocolOptions,
  scepProtocol,
  softwareKeyHandle,
} from '@certfleet/agent-core'
import { PurposeOid, parseCertificate } from '@certfleet/agent-core/pki'
import { systemClock, systemJitter } from '@certfleet/agent-core/system'
import t from 'tap'
import { endsAs } from '../tooling/process.ts'
import { isGood, missing, noNamespaces, openssl } from './peers.ts'
import { scepserver, scepserverUrl as url } from './scepserver.ts'

const challenge = 'open-sesame-17'
const legacy = ['--legacy-des', '--legacy-sha1']

t.test("Debian's scepserver", { skip: missing(['scepserver'], 'scep') || noNamespaces() }, async (t) => {
  const folder = t.testdir()
  const depot = join(folder, 'depot')
  const ca = join(depot, 'ca.pem')
  execFileSync('scepserver', ['ca', '-init', '-keySize', '2048', '-depot', depot])
  // Relative: a Unix socket's path holds 107 characters, and nobody knows how deep the checkout lies.
  const { command, send } = await scepserver(t, depot, relative('', join(folder, 'socket')), challenge)
  const enroll = (args: readonly string[]) => command(['enroll', '--url', url, ...args])
  const conformance = (args: readonly string[]) => command(['conformance', '--target', url, ...args])

  t.test('enroll obtains a certificate', async (t) => {
    const out = join(t.testdir(), 'out')
    const sans = ['--san', 'dns:laptop-1.example.org', '--san', 'email:ada@example.org']
    endsAs(t, await enroll([...asked(out, challenge), ...sans, ...legacy]), { exitCode: 0, output: 'CN=laptop-1' })

    const [certificate, key] = [join(out, 'cert.pem'), join(out, 'key.pem')]
    isGood(t, { certificate, key, ca })
    t.match(openssl('x509', '-in', certificate, '-noout', '-subject'), /O = lab.*CN = laptop-1|CN = laptop-1.*O = lab/)
    t.match(openssl('x509', '-in', certificate, '-noout', '-ext', 'subjectAltName'), 'DNS:laptop-1.example.org, email:ada@example.org')
    t.equal(openssl('x509', '-in', join(out, 'chain.pem'), '-noout', '-fingerprint'), openssl('x509', '-in', ca, '-noout', '-fingerprint'))
    t.equal(statSync(key).mode & 0o777, 0o600)

    const current = {
      certificate: parseCertificate(new X509Certificate(readFileSync(certificate)).raw).raw,
      key: softwareKeyHandle(createPrivateKey(readFileSync(key)), 'current'),
    }
    for (const renewal of ['RenewalReq', 'PKCSReq-by-current'] as const) {
      t.test(`and the agent renews it for another key, by ${renewal}`, async (t) => {
        const { outcome, key } = await renew({ renewal, current, send, offered: challenge })
        if (outcome.status !== 'issued') return t.fail(`not issued: ${JSON.stringify(outcome)}`)
        const renewed = new X509Certificate(outcome.chain[0] as Uint8Array)
        t.ok(renewed.verify(new X509Certificate(readFileSync(ca)).publicKey))
        t.same(renewed.publicKey.export({ type: 'spki', format: 'der' }), Buffer.from(key.publicKey), 'is for the new key')
      })
    }

    t.test('and is told that a renewal without a challenge is a bad request', async (t) => {
      t.match((await renew({ renewal: 'RenewalReq', current, send })).outcome, { status: 'rejected', failInfo: 'badRequest' })
    })

    for (const [allowed, code, said] of [
      [{ legacySha1: true }, 'ERR_ALGORITHM_REFUSED', 'the switch legacy-des'],
      [{ legacyDes: true }, 'ERR_ALGORITHM_REFUSED', 'the switch legacy-sha1'],
    ] as const) {
      t.test(`and does not read an answer that needs ${said}`, async (t) => {
        await t.rejects(renew({ renewal: 'RenewalReq', current, send, offered: challenge, allowed }), { code, message: new RegExp(said) })
      })
    }
  })

  for (const [name, offered, switches, said] of [
    ['tells what the server answered to a wrong challenge', 'not-that-one', legacy, /failInfo badRequest/],
    ['names --legacy-des for an answer in single DES', challenge, ['--legacy-sha1'], /single DES.*switch legacy-des[\s\S]*--legacy-des/],
    ['names --legacy-sha1 for an answer signed with SHA-1', challenge, ['--legacy-des'], /SHA-1.*switch legacy-sha1[\s\S]*--legacy-sha1/],
    ['takes neither without a switch', challenge, [], /ERR_ALGORITHM_REFUSED/],
  ] as const) {
    t.test(`enroll ${name}`, async (t) => {
      const out = join(t.testdir(), 'out')
      const ended = await enroll([...asked(out, offered), ...switches])
      endsAs(t, ended, { exitCode: 1, output: said })
      t.notMatch(ended.output, offered, 'the challenge is not repeated')
      t.notOk(existsSync(join(out, 'cert.pem')))
    })
  }

  t.test('conformance finds what the server does wrong, and names it', async (t) => {
    const args = ['--platform', 'windows', '--challenge', challenge, '--root', ca, '--parallel', '32', '--json']
    const { exitCode, output } = await conformance([...args, ...legacy])
    t.equal(exitCode, 1)
    t.notMatch(output, challenge, 'the challenge is not repeated')
    t.match(output, /\n\d+ certificates were issued by this run/)
    const [first = ''] = output.split('\n')
    const { checks } = JSON.parse(first) as { checks: readonly { id: string; status: string; reason: string }[] }
    const failed = new Map(checks.filter(({ status }) => status === 'failed').map(({ id, reason }) => [id, reason]))
    t.same([...failed.keys()].sort(), Object.keys(wrongs).sort())
    for (const [id, reason] of Object.entries(wrongs)) t.match(failed.get(id), reason, id)
    for (const id of ['server.enrol', 'server.enrol.certificate', 'server.challenge.wrong', 'server.ca.path'])
      t.match(
        checks.find((check) => check.id === id),
        { status: 'passed' },
      )
  })
})

/** What scepserver 2.1.0 does wrong, by the check that finds it. */
const wrongs: Readonly<Record<string, RegExp>> = {
  'server.url-suffix': /pkiclient\.exe behind the URL is answered with HTTP status 404/,
  'server.enrol.resend': /a second certificate was issued in the same transaction/,
  'server.reply.nonce': /no senderNonce of its own/,
  'server.reply.digest': /signed over SHA-1/,
  'server.reply.cipher': /encrypted in single DES/,
  'server.renewal.by-request': /FAILURE badRequest/,
  'server.algorithms.des': /a request in single DES is answered with SUCCESS/,
  'server.message.signature': /HTTP status 500, expected FAILURE badMessageCheck/,
  'server.next-ca': /GetNextCACert is missing/,
  'server.get-cert': /HTTP status 500/,
  'server.get-crl': /HTTP status 500/,
  'server.concurrency': /duplicate serial numbers of 32 requests at once: /,
}

function asked(out: string, offered: string): string[] {
  return ['--challenge', offered, '--subject', 'CN=laptop-1,O=lab', '--key-bits', '2048', '--platform', 'macos', '--out', out]
}

interface Renewal {
  readonly renewal: ScepHabits['renewal']
  readonly current: { readonly certificate: Uint8Array; readonly key: KeyHandle }
  readonly send: (request: HttpRequest) => Promise<HttpResponse>
  readonly offered?: string
  readonly allowed?: Pick<ScepProtocolOptions, 'legacyDes' | 'legacySha1'>
}

/** As an embedded agent renews. */
async function renew({ renewal, current, send, offered, allowed = { legacyDes: true, legacySha1: true } }: Renewal) {
  const key = softwareKeyHandle(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, 'next')
  const csr = await createCsr({
    subject: 'O=lab,CN=laptop-1',
    subjectAltNames: [],
    keyUsages: ['digitalSignature', 'keyEncipherment'],
    extendedKeyUsages: [PurposeOid.ClientAuth],
    key,
    hash: 'sha256',
    ...(offered !== undefined && { challenge: offered }),
  })
  const protocol = scepProtocol({
    urls: [url],
    habits: { order: 'caps-first', urlSuffix: '', userAgent: 'interop', signerSubject: 'csr-subject', renewal, urls: 'first' },
    transport: handlerTransport(send),
    trust: 'first-use',
    clock: systemClock,
    jitter: systemJitter,
    ...allowed,
  })
  const outcome: EnrollmentOutcome = await protocol.request({ csr, key, current }, new AbortController().signal)
  return { outcome, key }
}
