import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { endsAs, type Finished, run, serve } from '../tooling/process.ts'
import { certfleet, missing } from './peers.ts'

interface Announcement {
  readonly scepUrl: string
  readonly policyUrl: string
  /** SHA-256, hex. */
  readonly caFingerprint: string
}

t.test("Debian's scepclient against certfleet lab", { skip: missing(['scepclient'], 'scep') }, async (t) => {
  t.test('obtains a certificate', async (t) => {
    const { scepUrl, caFingerprint } = await lab(t, ['--legacy-des', '--legacy-sha1'])
    const folder = t.testdir()
    endsAs(t, await scepclient(folder, scepUrl, 'secret'), { exitCode: 0 })

    const certificate = join(folder, 'client.pem')
    const ca = join(folder, 'ca.pem')
    const caPem = await caCertificates(scepUrl)
    writeFileSync(ca, caPem)
    t.match(openssl('verify', '-partial_chain', '-CAfile', ca, certificate), ': OK')
    t.equal(
      openssl('x509', '-in', certificate, '-noout', '-pubkey'),
      openssl('pkey', '-in', join(folder, 'client.key'), '-pubout'),
      'is for the key',
    )
    t.match(openssl('x509', '-in', certificate, '-noout', '-subject'), 'CN = laptop-1')
    t.ok(fingerprints(caPem).includes(caFingerprint.replaceAll(':', '').toLowerCase()), 'GetCACert has the CA that the lab announces')

    t.test('and is told that a wrong challenge is a bad request', async (t) => {
      const other = t.testdir()
      endsAs(t, await scepclient(other, scepUrl, 'wrong'), { exitCode: 1, output: /badRequest/ })
      t.notOk(existsSync(join(other, 'client.pem')))
    })
  })

  t.test('is refused without the legacy switches', async (t) => {
    const { scepUrl } = await lab(t, [])
    const folder = t.testdir()
    endsAs(t, await scepclient(folder, scepUrl, 'secret'), { exitCode: 1, output: /badAlg/ })
    t.notOk(existsSync(join(folder, 'client.pem')))
  })
})

async function lab(t: Test, switches: readonly string[]): Promise<Announcement> {
  const { line } = await serve(t, process.execPath, [certfleet, 'lab', '--port', '0', '--challenge', 'secret', ...switches], /^\{/)
  return JSON.parse(line) as Announcement
}

function scepclient(folder: string, url: string, challenge: string): Promise<Finished> {
  const files = ['-private-key', join(folder, 'client.key'), '-certificate', join(folder, 'client.pem')]
  return run('scepclient', [...files, `-server-url=${url}`, `-challenge=${challenge}`, '-cn', 'laptop-1', '-organization', 'lab'])
}

/** The certificates of GetCACert as PEM, one after the other. */
async function caCertificates(scepUrl: string): Promise<string> {
  const response = await fetch(`${scepUrl}?operation=GetCACert`)
  const input = Buffer.from(await response.arrayBuffer())
  const bundle = response.headers.get('content-type') === 'application/x-x509-ca-ra-cert'
  return execFileSync('openssl', bundle ? ['pkcs7', '-inform', 'DER', '-print_certs'] : ['x509', '-inform', 'DER'], {
    input,
    encoding: 'utf8',
  })
}

/** SHA-256, hex, of every certificate in a PEM text. */
function fingerprints(pem: string): string[] {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return certificates.map((certificate) => new X509Certificate(certificate).fingerprint256.replaceAll(':', '').toLowerCase())
}

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8' })
}
