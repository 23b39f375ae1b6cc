import { X509Certificate } from 'node:crypto'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { endsAs, type Finished, run } from '../tooling/process.ts'
import { caCertificates, isGood, missing, openssl, serialNumberOf, startLab } from './peers.ts'

t.test("Debian's scepclient against certfleet lab", { skip: missing(['scepclient'], 'scep') }, async (t) => {
  const state = join(t.testdir(), 'lab')

  t.test('obtains a certificate', async (t) => {
    const { scepUrl, caFingerprint } = await startLab(t, state, ['--legacy-des', '--legacy-sha1'])
    const folder = t.testdir()
    endsAs(t, await scepclient(folder, scepUrl, 'secret'), { exitCode: 0 })

    const certificate = join(folder, 'client.pem')
    const ca = join(folder, 'ca.pem')
    const caPem = await caCertificates(scepUrl)
    writeFileSync(ca, caPem)
    isGood(t, { certificate, key: join(folder, 'client.key'), ca })
    t.match(openssl('x509', '-in', certificate, '-noout', '-subject'), 'CN = laptop-1')
    t.ok(fingerprints(caPem).includes(caFingerprint.replaceAll(':', '').toLowerCase()), 'GetCACert has the CA that the lab announces')

    t.test('and renews it, vouched for by the certificate alone', async (t) => {
      const before = serialNumberOf(certificate)
      // It would send the CSR of the first time again, challenge and all.
      rmSync(join(folder, 'csr.pem'))
      endsAs(t, await scepclient(folder, scepUrl), { exitCode: 0, output: /SUCCESS/ })
      t.notMatch(openssl('req', '-in', join(folder, 'csr.pem'), '-noout', '-text'), 'challengePassword')
      t.not(serialNumberOf(certificate), before, 'another certificate')
      isGood(t, { certificate, key: join(folder, 'client.key'), ca })
    })

    t.test('and is told that a wrong challenge is a bad request', async (t) => {
      const other = t.testdir()
      endsAs(t, await scepclient(other, scepUrl, 'wrong'), { exitCode: 1, output: /badRequest/ })
      t.notOk(existsSync(join(other, 'client.pem')))
    })
  })

  for (const switches of [[], ['--legacy-des'], ['--legacy-sha1']]) {
    t.test(`is refused with ${switches.join() || 'no switch'}`, async (t) => {
      const { scepUrl } = await startLab(t, state, switches)
      const folder = t.testdir()
      endsAs(t, await scepclient(folder, scepUrl, 'secret'), { exitCode: 1, output: /badAlg/ })
      t.notOk(existsSync(join(folder, 'client.pem')))
    })
  }
})

function scepclient(folder: string, url: string, challenge?: string): Promise<Finished> {
  const files = ['-private-key', join(folder, 'client.key'), '-certificate', join(folder, 'client.pem')]
  const offered = challenge === undefined ? [] : [`-challenge=${challenge}`]
  return run('scepclient', [...files, `-server-url=${url}`, ...offered, '-cn', 'laptop-1', '-organization', 'lab'])
}

/** SHA-256, hex, of every certificate in a PEM text. */
function fingerprints(pem: string): string[] {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return certificates.map((certificate) => new X509Certificate(certificate).fingerprint256.replaceAll(':', '').toLowerCase())
}
