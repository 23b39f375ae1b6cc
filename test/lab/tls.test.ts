import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { httpTransport, systemClock } from '@certfleet/agent-core'
import { PurposeOid, parseCertificate, verifyPath } from '@certfleet/agent-core/pki'
import { memoryLabStore } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { openAudit } from '#emulator/lab/audit.ts'
import { openAuthorities } from '#emulator/lab/authority.ts'
import { addressOctets } from '#emulator/lab/tls/address.ts'
import { makeTlsAuthority } from '#emulator/lab/tls/authority.ts'
import { issueTlsCertificate, type TlsRequest } from '#emulator/lab/tls/certificate.ts'
import { issueTls } from '#emulator/lab/tls/issue.ts'
import { endOf, listenOnLoopback } from '#emulator/lab/tls/loopback.ts'
import { tlsServerOptions } from '#emulator/lab/tls/server-options.ts'
import { FakeClock } from '../fakes/clock.ts'
import { opensslText, pem, start, startLab } from './surroundings.ts'

const dayMs = 86_400_000

async function surroundings() {
  const { lab, store, clock } = await startLab()
  const authorities = await openAuthorities(store, clock, 2048)
  return { lab, store, clock, authorities, audit: openAudit(store, clock) }
}

function openssl(t: Test, root: Uint8Array, chain: readonly Uint8Array[], at: number, ...options: string[]): string {
  const folder = t.testdir()
  const file = (name: string, ...ders: readonly Uint8Array[]) => {
    writeFileSync(join(folder, name), ders.map(pem).join(''))
    return join(folder, name)
  }
  const untrusted = chain.length > 1 ? ['-untrusted', file('untrusted.pem', ...chain.slice(1))] : []
  const trust = ['-CAfile', file('root.pem', root), ...untrusted, '-attime', String(Math.floor(at / 1000))]
  try {
    return execFileSync('openssl', ['verify', '-x509_strict', ...trust, ...options, file('leaf.pem', chain[0] as Uint8Array)], {
      encoding: 'utf8',
      stdio: 'pipe',
    })
  } catch (error) {
    return String((error as { stderr: string }).stderr)
  }
}

t.test('service.tls-names: S58: the certificate of a server, of a client, and of both, as openssl judges it', async (t) => {
  const lab = await surroundings()
  const names = { publicName: 'ndes.contoso.example', internalNames: ['ndes01.corp.contoso.example'] }
  const both: TlsRequest = { ...names, purposes: ['server', 'client'] }
  const rows: [string, TlsRequest, string[], RegExp][] = [
    [
      'a server, by its public name',
      { ...names, purposes: ['server'] },
      ['-purpose', 'sslserver', '-verify_hostname', names.publicName],
      /OK/,
    ],
    ['a server, by its internal name', { ...names, purposes: ['server'] }, ['-verify_hostname', 'ndes01.corp.contoso.example'], /OK/],
    ['not by another name', { ...names, purposes: ['server'] }, ['-verify_hostname', 'ndes02.corp.contoso.example'], /hostname mismatch/],
    ['a server is no client', { ...names, purposes: ['server'] }, ['-purpose', 'sslclient'], /unsuitable certificate purpose/],
    ['a client', { publicName: names.publicName, purposes: ['client'] }, ['-purpose', 'sslclient'], /OK/],
    [
      'a client is no server',
      { publicName: names.publicName, purposes: ['client'] },
      ['-purpose', 'sslserver'],
      /unsuitable certificate purpose/,
    ],
    ['one for both, as a server', both, ['-purpose', 'sslserver'], /OK/],
    ['one for both, as a client', both, ['-purpose', 'sslclient'], /OK/],
    ['by an IPv4 address', { publicName: '127.0.0.1', purposes: ['server'] }, ['-verify_ip', '127.0.0.1'], /OK/],
    ['by an IPv6 address', { publicName: 'a.example', internalNames: ['::1'], purposes: ['server'] }, ['-verify_ip', '::1'], /OK/],
  ]
  for (const [name, request, options, expected] of rows) {
    const { chain } = await issueTls(request, lab)
    t.match(openssl(t, lab.lab.rootCertificate, chain, start, ...options), expected, name)
  }
  const text = opensslText((await issueTls(both, lab)).chain[0] as Uint8Array)
  t.match(text, /Subject: CN = ndes\.contoso\.example\n/)
  t.match(text, /DNS:ndes\.contoso\.example, DNS:ndes01\.corp\.contoso\.example\n/)
  t.match(text, /TLS Web Server Authentication, TLS Web Client Authentication\n/)
  t.match(text, /X509v3 Key Usage: critical\s+Digital Signature\n/)
})

t.test('expiry is data: openssl stops a second early, and agrees from the next one on', async (t) => {
  const lab = await surroundings()
  const identity = await issueTls({ publicName: 'a.example', purposes: ['server'], validityMs: 2 * dayMs }, lab)
  t.equal(identity.expiresAt, start - 10 * 60_000 + 2 * dayMs)
  t.match(openssl(t, lab.lab.rootCertificate, identity.chain, identity.expiresAt - 1000), /OK/)
  t.match(openssl(t, lab.lab.rootCertificate, identity.chain, identity.expiresAt + 1000), /certificate has expired/)
  const longest = await issueTls({ publicName: 'a.example', purposes: ['server'], validityMs: 100 * 365 * dayMs }, lab)
  t.equal(longest.expiresAt, parseCertificate(lab.lab.issuingCertificate).notAfter, 'never beyond the CA')
})

t.test('a certificate of the lab is on record and can be revoked', async (t) => {
  const lab = await surroundings()
  const { serialNumber, chain } = await issueTls({ publicName: 'a.example', purposes: ['server'] }, lab)
  t.match([...lab.lab.issued()], [{ serialNumber, certificate: Buffer.from(chain[0] as Uint8Array) }])
  t.match(lab.audit.entries().at(-1), { event: 'issued', serialNumber, detail: 'TLS server: a.example' })
  await lab.lab.revoke(serialNumber)
})

t.test('what is no name gets no certificate', async (t) => {
  const authority = await makeTlsAuthority({ clock: new FakeClock(start), name: 'Wi-Fi Root' })
  for (const publicName of ['', 'a b', 'a,O=b', '*.example', '-a.example', `${'a'.repeat(64)}.example`, 'a.example.']) {
    const issued = issueTlsCertificate({ publicName, purposes: ['server'] }, authority, new FakeClock(start))
    await t.rejects(issued, { code: 'ERR_UNSUPPORTED' }, publicName)
  }
})

t.test('octets of addresses', async (t) => {
  const rows: [string, string][] = [
    ['10.1.2.255', '0a0102ff'],
    ['::', '00000000000000000000000000000000'],
    ['::1', '00000000000000000000000000000001'],
    ['2001:db8::5:0', '20010db8000000000000000000050000'],
    ['::ffff:10.0.0.1', '00000000000000000000ffff0a000001'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ]
  for (const [address, hex] of rows) t.equal(Buffer.from(addressOctets(address)).toString('hex'), hex, address)
})

t.test('a root of its own for TLS: trusted where it was delivered, and not by the root of the lab', async (t) => {
  const clock = new FakeClock(start)
  const authority = await makeTlsAuthority({ clock, name: 'Wi-Fi Root' })
  const { chain } = await issueTlsCertificate({ publicName: 'wifi.contoso.example', purposes: ['server'] }, authority, clock)
  t.equal(chain.length, 1)
  t.match(openssl(t, authority.root.raw, chain, start, '-verify_hostname', 'wifi.contoso.example'), /OK/)
  const { lab } = await startLab()
  const judge = (root: Uint8Array) =>
    verifyPath({
      leaf: parseCertificate(chain[0] as Uint8Array),
      intermediates: [],
      roots: [parseCertificate(root)],
      at: start,
      purpose: PurposeOid.ServerAuth,
    })
  t.equal(judge(authority.root.raw).ok, true)
  t.match(judge(lab.rootCertificate), { ok: false, code: 'no-path' })
})

t.test('a server with tlsServerOptions is taken by the agent and by curl, by root and name only', async (t) => {
  const store = memoryLabStore()
  const authorities = await openAuthorities(store, systemClock, 2048)
  const { root, issuing } = authorities.present()
  const identity = await issueTlsCertificate({ publicName: 'localhost', purposes: ['server'] }, { root, issuing }, systemClock)
  const server = createServer(tlsServerOptions(identity), (_, response) => response.end('hello'))
  t.teardown(endOf(server))
  const port = await listenOnLoopback(server, 0)

  const trusting = httpTransport({ allowLoopback: true, trustAnchors: [root.raw] })
  const strict = httpTransport({ allowLoopback: true, trustAnchors: [] })
  t.teardown(() => Promise.all([trusting.close(), strict.close()]))
  const get = (host: string) => ({ method: 'GET' as const, url: `https://${host}:${port}/`, headers: {} })
  t.equal((await trusting.send(get('localhost'))).status, 200)
  await t.rejects(trusting.send(get('127.0.0.1')), { code: 'ERR_NETWORK' }, 'another name')
  await t.rejects(strict.send(get('localhost')), { code: 'ERR_NETWORK' }, 'no root')

  const folder = t.testdir({ 'root.pem': pem(root.raw) })
  const { stdout } = await curl('--cacert', join(folder, 'root.pem'), `https://localhost:${port}/`)
  t.equal(stdout, 'hello')
  await t.rejects(curl(`https://localhost:${port}/`), { code: 60 }, 'curl without the root')
})

t.test('nothing of the key is on what is returned', async (t) => {
  const { inspect } = await import('node:util')
  const authority = await makeTlsAuthority({ clock: new FakeClock(start), name: 'Root' })
  const identity = await issueTlsCertificate({ publicName: 'a.example', purposes: ['server'] }, authority, new FakeClock(start))
  const secret = String(identity.privateKey.export({ format: 'jwk' }).d)
  const shown = inspect(identity, { depth: 9, showHidden: true, maxArrayLength: null }) + JSON.stringify(identity)
  t.notMatch(shown, secret)
  t.notMatch(shown, Buffer.from(secret, 'base64url').toString('hex'))
})

async function curl(...args: string[]) {
  const { execFile } = await import('node:child_process')
  const { promisify } = await import('node:util')
  return promisify(execFile)('curl', ['--silent', '--show-error', '--noproxy', '*', ...args], { encoding: 'utf8' })
}
