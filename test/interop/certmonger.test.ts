import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { endsAs, type Finished, run } from '../tooling/process.ts'
import { caCertificates, isGood, missing, openssl, serialNumberOf, startLab } from './peers.ts'

const scepSubmit = '/usr/lib/certmonger/scep-submit'
/** The daemon's exit code does not tell how the script ended. */
const ranToItsEnd = { exitCode: 0, output: /the script ended/ }
const daemon = '/usr/lib/certmonger/certmonger-session'

t.test('certmonger against certfleet lab', { skip: missing([scepSubmit, daemon, 'getcert'], 'certmonger') }, async (t) => {
  const folder = t.testdir()
  const { scepUrl } = await startLab(t, join(folder, 'lab'))
  const bundle = await caCertificates(scepUrl)
  const named = (name: string) => pemBlocks(bundle).find((pem) => new X509Certificate(pem).subject.includes(name))
  const [encryption, signing, issuing, root] = ['RA Encryption', 'RA Signing', 'Issuing CA', 'Root CA'].map(named)
  const ca = fileIn(t, 'ca.pem', bundle)

  t.test('scep-submit reads the capabilities', async (t) => {
    endsAs(t, await run(scepSubmit, ['-u', scepUrl, '-c']), {
      exitCode: 0,
      output: /^AES$[\s\S]*^POSTPKIOperation$[\s\S]*^Renewal$[\s\S]*^SHA-256$/m,
    })
  })

  t.test('scep-submit tells RA and CA apart: what requests are encrypted to, the root, then the rest', async (t) => {
    const ended = await run(scepSubmit, ['-u', scepUrl, '-C'])
    endsAs(t, ended, { exitCode: 0 })
    const [first, second, ...others] = pemBlocks(ended.output)
    t.same([first, second], [encryption, root])
    t.same(new Set(others), new Set([signing, issuing]))
  })

  for (const [name, options] of [
    ['finds out which certificate is for what', []],
    [
      'is told which certificate is for what',
      ['-r', fileIn(t, 'ra.pem', encryption), '-N', fileIn(t, 'root.pem', root), '-I', fileIn(t, 'others.pem', `${issuing}${signing}`)],
    ],
  ] as const) {
    t.test(`obtains a certificate, renews it, and renews it for another key: ${name}`, async (t) => {
      const { certificate, key, script } = request(t, scepUrl, options)
      const keep = (as: string) => `cp ${certificate} ${certificate}.${as}; cp ${key} ${key}.${as}`
      const lines = [...script, keep('first'), 'getcert resubmit -i it -w', keep('resubmitted'), 'getcert rekey -i it -w', keep('rekeyed')]
      endsAs(t, await certmonger(t, lines), ranToItsEnd)

      const rounds = ['first', 'resubmitted', 'rekeyed'].map((as) => ({ certificate: `${certificate}.${as}`, key: `${key}.${as}`, ca }))
      for (const round of rounds) isGood(t, round)
      t.equal(new Set(rounds.map((round) => serialNumberOf(round.certificate))).size, 3, 'three certificates')
      t.equal(new Set(rounds.map((round) => openssl('pkey', '-in', round.key, '-pubout'))).size, 2, 'two keys')
      t.match(openssl('x509', '-in', certificate, '-noout', '-subject'), /O = lab|CN = host-1/)
      t.match(openssl('x509', '-in', certificate, '-noout', '-ext', 'subjectAltName'), 'DNS:host-1.example.org')
    })
  }

  t.test('cannot read a refusal: it takes SignedData without content for broken (RFC 8894 3.2 has it so)', async (t) => {
    const { script } = request(t, scepUrl, [], 'wrong')
    const unread = /status: CA_UNREACHABLE[\s\S]*no content[\s\S]*the script ended/
    endsAs(t, await certmonger(t, [...script, 'getcert list -i it']), { exitCode: 0, output: unread })
  })

  t.test('reads a refusal as NDES writes it', async (t) => {
    const likeNdes = await startLab(t, join(t.testdir(), 'lab'), ['--ndes-failures'])
    const { script } = request(t, likeNdes.scepUrl, [], 'wrong')
    const read = /status: CA_REJECTED[\s\S]*the script ended/
    endsAs(t, await certmonger(t, [...script, 'getcert list -i it']), { exitCode: 0, output: read })
  })
})

/** The lines that have a certificate requested, and where it and its key will be. */
function request(t: Test, scepUrl: string, caOptions: readonly string[], challenge = 'secret') {
  const folder = t.testdir()
  const [certificate, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const wish = `-N 'CN=host-1,O=lab' -D host-1.example.org -L ${challenge} -k ${key} -f ${certificate}`
  return {
    certificate,
    key,
    script: [
      `getcert add-scep-ca -c LAB -u ${scepUrl} ${caOptions.join(' ')}`,
      // Until the daemon has asked for the CA's certificates, it takes no request.
      "until getcert list-cas -c LAB | grep -q 'SCEP CA certificate thumbprint'; do :; done",
      `getcert request -c LAB -I it ${wish} -w --wait-timeout 20 || :`,
    ],
  }
}

/** The daemon of a user, with a socket of its own instead of D-Bus; it ends with the script, and keeps its state in the folder. */
function certmonger(t: Test, lines: readonly string[]): Promise<Finished> {
  const script = fileIn(t, 'script.sh', ['set -e', ...lines, 'echo the script ended'].join('\n'))
  return run('timeout', ['60', 'env', '-u', 'XDG_CONFIG_HOME', `HOME=${t.testdirName}`, daemon, '-L', '-n', '-c', `sh ${script}`])
}

function fileIn(t: Test, name: string, text = ''): string {
  const file = join(t.testdirName, name)
  writeFileSync(file, text)
  return file
}

function pemBlocks(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g) ?? []
}
