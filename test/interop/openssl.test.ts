import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { handlerTransport, type KeyHandle, type ScepProtocolOptions, scepProtocol, softwareKeyHandle } from '@certfleet/agent-core'
import { issuerAndSerialNumber } from '@certfleet/agent-core/cms'
import { parseCertificate } from '@certfleet/agent-core/pki'
import type { Approval, Lab } from '@certfleet/emulator/lab'
import t from 'tap'
import { csrFor, exchange, scepUrl, start, startLab, wifi } from '../lab/surroundings.ts'
import { run } from '../tooling/process.ts'
import { missing, openssl } from './peers.ts'

interface Exchanged {
  readonly name: string
  /** DER. */
  readonly request: Uint8Array
  /** DER. */
  readonly reply: Uint8Array
}

const day = 86_400_000
const names = ['device', 'next', 'stranger'] as const
const privateKeys = Object.fromEntries(
  names.map((name) => [name, generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey]),
) as Record<(typeof names)[number], KeyObject>
const keyOf = (name: (typeof names)[number]): KeyHandle => softwareKeyHandle(privateKeys[name], name)

t.test('openssl reads every message that agent and lab emit', { skip: missing(['openssl'], 'openssl') }, async (t) => {
  const folder = t.testdir()
  const approvals: Approval[] = ['pending', 'pending']
  const { lab, store } = await startLab({ staticChallenge: 'secret', approve: () => approvals.shift() ?? 'issue' })
  const nextRoot = await lab.prepareRollOver(start + day)
  const encryption = store.get('authority', 'lab')?.encryption
  if (encryption === undefined) throw new Error('the lab has no RA')
  const file = (name: string, content: string | Uint8Array) => {
    writeFileSync(join(folder, name), content)
    return join(folder, name)
  }
  const der = (name: string, content: Uint8Array) => ['-inform', 'DER', '-in', file(name, content)]
  const raKey = file('ra.key', pkcs8(createPrivateKey({ key: Buffer.from(encryption.privateKey), format: 'der', type: 'pkcs8' })))
  const issuing = file('issuing.pem', new X509Certificate(lab.issuingCertificate).toString())
  const ca = file('ca.pem', `${new X509Certificate(lab.rootCertificate)}${new X509Certificate(lab.issuingCertificate)}`)
  const empty = file('empty', '')
  const trust = ['-CAfile', ca, '-attime', String(start / 1000)]

  /** The content of SignedData whose signer leads to the lab's root. */
  const verified = (message: Uint8Array, ...options: readonly string[]): Uint8Array => {
    openssl('cms', '-verify', '-binary', ...der('message', message), ...options, '-out', join(folder, 'content'))
    return readFileSync(join(folder, 'content'))
  }
  const decrypted = (envelope: Uint8Array, key: string): Uint8Array => {
    openssl('cms', '-decrypt', '-binary', ...der('envelope', envelope), '-inkey', key, '-out', join(folder, 'plain'))
    return readFileSync(join(folder, 'plain'))
  }
  /** The content of a request, and the certificate that came with it and signed it. */
  const opened = (request: Uint8Array) => {
    const envelope = verified(request, '-noverify', '-signer', join(folder, 'signer.pem'))
    return { content: decrypted(envelope, raKey), signer: new X509Certificate(readFileSync(join(folder, 'signer.pem'))) }
  }
  /** What a success brings to the signer of its request: certificates and CRLs, as PEM. */
  const delivered = ({ request, reply }: Exchanged): string => {
    const { signer } = opened(request)
    const key = Object.values(privateKeys).find((candidate) => signer.checkPrivateKey(candidate))
    const bag = decrypted(verified(reply, ...trust), file('signer.key', pkcs8(key as KeyObject)))
    return openssl('pkcs7', ...der('bag', bag), '-print_certs')
  }

  const exchanged = await conversation(lab)
  const named = (name: string) => exchanged.find((one) => one.name === name) as Exchanged
  t.equal(exchanged.length, 15)

  for (const one of exchanged) {
    t.test(`${one.name}: signatures, encoding, attributes`, async (t) => {
      const { request, reply } = one
      opened(request)
      const printed = (message: Uint8Array) => openssl('cms', '-cmsout', '-print', '-noout', ...der('printed', message))
      for (const message of [request, reply]) {
        t.ok(Buffer.from(message).equals(reencoded(message)), 'openssl would encode it likewise')
        t.match(signatureAlgorithmOf(printed(message)), 'rsaEncryption', 'strongSwan takes nothing else')
      }
      t.equal(attribute(printed(reply), '7'), attribute(printed(request), '7'), 'one transactionID')
      t.equal(attribute(printed(reply), '6'), attribute(printed(request), '5'), 'the nonce comes back')
    })
  }

  t.test('CSRs', async (t) => {
    for (const [name, type, challenge, by] of [
      ['PKCSReq', '19', true, 'device-1'],
      ['RenewalReq', '17', false, 'Lab Issuing CA'],
      ['refused', '19', true, 'device-1'],
      ['as for an EC key', '19', true, 'device-1'],
    ] as const) {
      const { content, signer } = opened(named(name).request)
      // Its exit code does not tell whether the signature is good.
      const { output } = await run('openssl', ['req', '-verify', '-noout', '-text', ...der('csr', content)])
      t.match(output, 'verify OK', name)
      t.match(output, 'Subject: CN = device-1, O = Example')
      t.match(output, 'DNS:device-1.example')
      t.equal(/challengePassword/.test(output), challenge)
      t.equal(attribute(openssl('cms', '-cmsout', '-print', '-noout', ...der('request', named(name).request)), '2'), type)
      t.match(signer.issuer, by, 'self-signed, or the certificate that it renews')
    }
  })

  t.test('questions', async (t) => {
    const asked = (name: string) => openssl('asn1parse', ...der('asked', opened(named(name).request).content)).replaceAll(/^.*?d=/gm, '')
    t.match(asked('CertPoll'), /^0 .*SEQUENCE[\s\S]*:Lab Issuing CA[\s\S]*:device-1/)
    t.match(asked('GetCert'), /^0 .*SEQUENCE[\s\S]*:Lab Issuing CA[\s\S]*^1 .*INTEGER/m)
    t.match(asked('GetCRL'), /^0 .*SEQUENCE[\s\S]*:Lab Issuing CA[\s\S]*^1 .*INTEGER/m)
  })

  t.test('certificates', async (t) => {
    for (const { name } of exchanged.filter(({ name }) => /^(CertPoll, issued|RenewalReq|GetCert|as .*)$/.test(name))) {
      const [pem, ...more] = pemBlocks(delivered(named(name)), 'CERTIFICATE')
      t.same(more, [], 'the leaf alone')
      t.match(openssl('verify', '-x509_strict', ...trust, file('leaf.pem', pem as string)), ': OK', name)
    }
  })

  t.test('PENDING and FAILURE have no content, and verify', async (t) => {
    for (const [name, status] of [
      ['PKCSReq', '3'],
      ['CertPoll', '3'],
      ['refused', '2'],
    ] as const) {
      const { reply } = named(name)
      t.equal(attribute(openssl('cms', '-cmsout', '-print', '-noout', ...der('reply', reply)), '3'), status)
      t.equal(verified(reply, ...trust, '-content', empty).length, 0)
    }
  })

  t.test('a FAILURE as NDES writes it has one zero byte, and no certificates', async (t) => {
    const { lab: likeNdes } = await startLab({ ndesFailures: true, store })
    const said: Exchanged[] = []
    await exchange(recording(likeNdes, said, 'refused'), { key: keyOf('stranger'), content: await csrFor({ key: keyOf('stranger') }) })
    const { reply } = said[0] as Exchanged
    const ra = file('ra.pem', (await caCertificates(lab)).join(''))
    t.same(verified(reply, ...trust, '-certfile', ra), Buffer.of(0))
    t.notMatch(openssl('cms', '-cmsout', '-print', '-noout', ...der('reply', reply)), 'd.certificate')
  })

  t.test('CRL', async (t) => {
    const [pem] = pemBlocks(delivered(named('GetCRL')), 'X509 CRL')
    const crl = file('crl.pem', pem as string)
    const checked = await run('openssl', ['crl', '-in', crl, '-CAfile', issuing, '-noout', '-text'])
    t.match(checked, { exitCode: 0, output: /verify OK/ })
    const revoked = new X509Certificate(pemBlocks(delivered(named('GetCert')), 'CERTIFICATE')[0] as string)
    t.match(checked.output, new RegExp(`Serial Number: ${revoked.serialNumber}[\\s\\S]*Key Compromise`))
    const leaf = file('revoked.pem', revoked.toString())
    const path = ['verify', '-crl_check', ...trust, '-CRLfile', crl, leaf]
    t.match(await run('openssl', path), { exitCode: 2, output: /certificate revoked/ })
  })

  t.test('GetCACert and GetNextCACert', async (t) => {
    t.equal((await caCertificates(lab)).length, 4)
    const { body } = await lab.handle({ method: 'GET', url: `${scepUrl}?operation=GetNextCACert`, headers: {} })
    const next = pemBlocks(openssl('pkcs7', ...der('next', verified(body, ...trust)), '-print_certs'), 'CERTIFICATE')
    t.equal(next.length, 4)
    t.ok(next.some((pem) => new X509Certificate(pem).raw.equals(nextRoot)))
  })

  function reencoded(message: Uint8Array): Buffer {
    openssl('cms', '-cmsout', ...der('given', message), '-outform', 'DER', '-out', join(folder, 'again'))
    return readFileSync(join(folder, 'again'))
  }

  async function caCertificates(of: Lab): Promise<string[]> {
    const { body } = await of.handle({ method: 'GET', url: `${scepUrl}?operation=GetCACert`, headers: {} })
    return pemBlocks(openssl('pkcs7', ...der('bundle', body), '-print_certs'), 'CERTIFICATE')
  }
})

/** Every kind of exchange, between the agent's own SCEP client and the lab; its one certificate is revoked on the way. */
async function conversation(lab: Lab): Promise<readonly Exchanged[]> {
  const said: Exchanged[] = []
  const { signal } = new AbortController()
  const protocolFor = (name: string) => scepProtocol({ ...agentLike, transport: handlerTransport(recording(lab, said, name).handle) })
  const first = { key: keyOf('device'), csr: await csrFor({ key: keyOf('device'), challenge: 'secret' }) }
  await protocolFor('PKCSReq').request(first, signal)
  await protocolFor('CertPoll').poll(first, signal)
  const issued = await protocolFor('CertPoll, issued').poll(first, signal)
  if (issued.status !== 'issued') throw new Error(`not issued, but ${issued.status}`)
  const current = { certificate: issued.chain[0] as Uint8Array, key: keyOf('device') }
  await protocolFor('RenewalReq').request({ key: keyOf('next'), csr: await csrFor({ key: keyOf('next') }), current }, signal)
  const refused = { key: keyOf('stranger'), csr: await csrFor({ key: keyOf('stranger'), challenge: 'wrong' }) }
  await protocolFor('refused').request(refused, signal)

  const certificate = parseCertificate(current.certificate)
  await lab.revoke(Buffer.from(certificate.serialNumber).toString('hex'), 'keyCompromise')
  for (const messageType of ['GetCert', 'GetCRL'] as const) {
    const signer = { certificate, key: keyOf('device') }
    await exchange(recording(lab, said, messageType), { messageType, key: signer.key, signer, content: issuerAndSerialNumber(certificate) })
  }
  for (const ways of [
    { cipher: 'aes-128-cbc', hash: 'sha384' },
    { cipher: 'aes-192-cbc', hash: 'sha512' },
    { cipher: 'aes-256-cbc', hash: 'sha256' },
    { cipher: 'des-ede3-cbc', hash: 'sha256' },
    { cipher: 'aes-256-cbc', hash: 'sha256', keyTransport: 'oaep-sha1' },
    { cipher: 'aes-256-cbc', hash: 'sha256', keyTransport: 'oaep-sha256' },
    { cipher: 'aes-128-cbc', hash: 'sha256', subject: 'CN=Zoë,O=Example' },
  ] as const) {
    const name = `as ${Object.values(ways).join(', ')}`
    const { subject = wifi.subject } = 'subject' in ways ? ways : {}
    const key = keyOf('stranger')
    const content = await csrFor({ key, subject, challenge: 'secret' })
    await exchange(recording(lab, said, name), { key, content, transactionId: `ROW-${said.length}`, ...ways })
  }
  const ecKey = softwareKeyHandle(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, 'ec')
  const ofEcKey = { key: keyOf('stranger'), content: await csrFor({ key: ecKey, challenge: 'secret' }), transactionId: 'EC' }
  await exchange(recording(lab, said, 'as for an EC key'), ofEcKey)
  return said
}

const agentLike: Omit<ScepProtocolOptions, 'transport'> = {
  urls: [scepUrl],
  habits: { order: 'caps-first', urlSuffix: '', userAgent: 'interop', signerSubject: 'csr-subject', renewal: 'RenewalReq', urls: 'first' },
  trust: 'first-use',
  clock: { now: () => start, sleep: () => Promise.resolve() },
  jitter: { between: (min) => min },
}

/** The lab, with what goes in and out at PKIOperation kept under a name. */
function recording(lab: Lab, said: Exchanged[], name: string): Lab {
  return {
    ...lab,
    async handle(request) {
      const response = await lab.handle(request)
      if (request.body) said.push({ name, request: request.body, reply: response.body })
      return response
    },
  }
}

function pkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string
}

function pemBlocks(text: string, label: string): string[] {
  return text.match(new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----\n`, 'g')) ?? []
}

/** Of the SignerInfo, which openssl prints last. */
function signatureAlgorithmOf(printed: string): string | undefined {
  return printed.split('signatureAlgorithm:').at(-1)?.trim().split('\n')[0]
}

/** A SCEP attribute's value as openssl prints it, by the last arc of its OID. */
function attribute(printed: string, arc: string): string {
  const oid = `2\\.16\\.840\\.1\\.113733\\.1\\.9\\.${arc}`
  const found = new RegExp(`\\(${oid}\\)\\n *set:\\n *(?:PRINTABLESTRING|OCTET STRING):([\\s\\S]+?)\\n *(?:\\n|signatureAlgorithm)`).exec(
    printed,
  )
  if (found === null) throw new Error(`no attribute ${arc}`)
  return (found[1] as string).trim()
}
