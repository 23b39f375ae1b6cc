import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@certfleet/agent-core/system'
import { type Approval, createLab, serveLab } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { labStore } from '../fakes/lab-store.ts'
import { endsAs, type Finished, run } from '../tooling/process.ts'
import { isGood, missing, openssl, serialNumberOf, startLab } from './peers.ts'

const packages = 'strongswan-pki libstrongswan-standard-plugins libstrongswan-extra-plugins'
const curl = '/usr/lib/ipsec/plugins/libstrongswan-curl.so'

t.test("strongSwan's pki --scep against certfleet lab", { skip: missing(['pki', curl], packages) }, async (t) => {
  const folder = t.testdir()
  const { scepUrl } = await startLab(t, join(folder, 'lab'))
  const inFolder = (name: string) => join(folder, name)
  const makeKey = async (name: string) => {
    openssl('genrsa', '-traditional', '-out', inFolder(name), '2048')
    return inFolder(name)
  }
  const ca = await authorities(t, scepUrl, folder)
  const key = await makeKey('first.key')

  t.test('obtains a certificate, in 3DES', async (t) => {
    const certificate = inFolder('first.pem')
    const ended = await enroll(certificate, [...asked(scepUrl, key), ...ca.options, '--password', 'secret', '--cipher', 'des3'])
    endsAs(t, ended, { exitCode: 0, output: /Issued certificate is trusted/ })
    isGood(t, { certificate, key, ca: ca.all })
    t.match(openssl('x509', '-in', certificate, '-noout', '-subject'), 'C = US, O = lab, CN = gateway-1')
    t.match(openssl('x509', '-in', certificate, '-noout', '-ext', 'subjectAltName'), 'DNS:gateway-1.example.org')

    t.test('and renews it for another key, by RenewalReq without a challenge', async (t) => {
      const [renewed, next] = [inFolder('second.pem'), await makeKey('second.key')]
      const by = ['--cert', certificate, '--key', key, '--cipher', 'des3']
      endsAs(t, await enroll(renewed, [...asked(scepUrl, next), ...ca.options, ...by]), { exitCode: 0, output: /is trusted/ })
      isGood(t, { certificate: renewed, key: next, ca: ca.all })
      t.not(serialNumberOf(renewed), serialNumberOf(certificate))
    })
  })

  for (const [name, options, said] of [
    ['is told that a wrong challenge is a bad request', ['--password', 'wrong', '--cipher', 'des3'], /failInfo: +badRequest/],
    ['is refused with SHA-1', ['--password', 'secret', '--cipher', 'des3', '--digest', 'sha1'], /failInfo: +badAlg/],
    ['knows nothing of AES, whatever the capabilities say', ['--password', 'secret'], /AES_CBC encryption algorithm not supported by CA/],
  ] as const) {
    t.test(name, async (t) => {
      const out = join(t.testdir(), 'none.pem')
      const ended = await enroll(out, [...asked(scepUrl, await makeKey(`${t.name.length}.key`)), ...ca.options, ...options])
      endsAs(t, ended, { exitCode: 1, output: said })
      t.equal(readFileSync(out, 'utf8'), '')
    })
  }

  t.test('waits for a CA that has not decided, and polls', async (t) => {
    const answers: Approval[] = ['pending', 'pending']
    const lab = await createLab({
      store: await labStore(systemClock),
      clock: systemClock,
      policyFor: () => undefined,
      registrationToken: 'unused',
      staticChallenge: 'secret',
      approve: () => answers.shift() ?? 'issue',
    })
    const served = await serveLab(lab)
    t.teardown(() => served.close())
    const within = t.testdir()
    const its = await authorities(t, served.scepUrl, within)
    const certificate = join(within, 'polled.pem')
    const polling = ['--password', 'secret', '--cipher', 'des3', '--interval', '1']
    endsAs(t, await enroll(certificate, [...asked(served.scepUrl, key), ...its.options, ...polling]), { exitCode: 0, output: /is trusted/ })
    isGood(t, { certificate, key, ca: its.all })
    t.same(
      lab.audit().map(({ event }) => event),
      ['pending', 'pending', 'issued'],
    )
  })
})

/** What pki --scepca writes, as options of pki --scep, and in one file. It tells CA and RA apart, but not which RA certificate is for what. */
async function authorities(t: Test, scepUrl: string, folder: string): Promise<{ options: readonly string[]; all: string }> {
  const out = ['--caout', join(folder, 'ca.pem'), '--raout', join(folder, 'ra.pem'), '--outform', 'pem']
  endsAs(t, await run('pki', ['--scepca', '--url', scepUrl, ...out]), { exitCode: 0, output: /RA cert is trusted/ })
  const files = readdirSync(folder)
    .filter((name) => /^(ca|ra)(-\d)?\.pem$/.test(name))
    .map((name) => join(folder, name))
  const raFor = (usage: string) => files.find((file) => keyUsageOf(file) === usage) as string
  const cas = files.filter((file) => keyUsageOf(file).includes('Certificate Sign'))
  t.equal(cas.length, 2, 'root and issuing CA')
  const all = join(folder, 'all.pem')
  writeFileSync(all, cas.map((file) => readFileSync(file, 'utf8')).join(''))
  const ra = ['--cacert-enc', raFor('Key Encipherment'), '--cacert-sig', raFor('Digital Signature')]
  return { options: [...ra, ...cas.flatMap((file) => ['--cacert', file])], all }
}

function keyUsageOf(file: string): string {
  return openssl('x509', '-in', file, '-noout', '-ext', 'keyUsage').split('\n')[1]?.trim() ?? ''
}

function asked(url: string, key: string): string[] {
  return ['--url', url, '--in', key, '--dn', 'C=US, O=lab, CN=gateway-1', '--san', 'gateway-1.example.org']
}

/** It writes the certificate to stdout. */
function enroll(out: string, args: readonly string[]): Promise<Finished> {
  return run('sh', ['-c', 'out=$1; shift; exec pki --scep --outform pem "$@" >"$out"', 'sh', out, ...args])
}
