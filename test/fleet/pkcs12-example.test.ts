import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { RunResults } from '@certfleet/emulator/fleet'
import t from 'tap'
import { command } from '../commands/terminal.ts'
import { root } from '../tooling/root.ts'

const example = join(root, 'examples', 'pkcs12')

t.test('SCEP, PKCS #12 and trusted roots on four platforms end as the example says', async (t) => {
  const out = join(t.testdir(), 'out')
  const given = ['--profiles', join(example, 'graph'), '--tenant', join(example, 'tenant.yaml'), '--seed', '12', '--out', out]
  const { exitCode, stdout, stderr } = await command(['run', ...given, '--in-process', '--json'])
  t.equal(exitCode, 1, stderr)
  const { platforms, failures, outcomes } = JSON.parse(stdout) as RunResults
  const good = { devices: 2, rootsInstalled: 4, certificatesInstalled: 4, pending: 0, failed: 0 }
  t.match(platforms, {
    ios: good,
    macos: good,
    android: { ...good, rootsInstalled: 2 },
    windows: { ...good, rootsInstalled: 2, certificatesInstalled: 3, failed: 1 },
  })
  t.match(outcomes, { installed: 15, failed: 1, pending: 0 })
  const message = /"Windows VPN \(PKCS #12\)" is not deployed/
  t.match(failures, [{ device: 'windows-jane', subject: /^user\//, code: 'ERR_ROOT_NOT_DEPLOYED', message }], 'S11')
  t.match(stderr, /7 trusted roots and 4 SCEP URLs replaced, and the CA of 5 PKCS profiles\n/)

  await t.test('and openssl finds the path of every certificate', async (t) => {
    const folders = readdirSync(out, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    t.equal(folders.length, 8)
    for (const { name } of folders) {
      const at = (file: string) => join(out, name, file)
      t.equal(existsSync(at('cert-2.pem')), name !== 'windows-omar', `${name}: PKCS #12 is not for Windows 8.1 (S4)`)
      t.notOk(existsSync(at('csr-2.pem')), name)
      for (const suffix of name === 'windows-omar' ? [''] : ['', '-2']) {
        const verified = ['-CAfile', join(out, 'root.pem'), '-untrusted', at(`chain${suffix}.pem`), at(`cert${suffix}.pem`)]
        t.match(execFileSync('openssl', ['verify', '-purpose', 'sslclient', ...verified], { encoding: 'utf8' }), ': OK', name)
      }
    }
  })
})

t.test('the check foretells the one certificate that no device gets, and the emulation confirms it', async (t) => {
  const { exitCode, stdout } = await command([
    'check',
    join(example, 'graph'),
    '--tenant',
    join(example, 'tenant.yaml'),
    '--emulate',
    '--json',
  ])
  const { findings, errors, emulation } = JSON.parse(stdout)
  t.match({ exitCode, errors }, { exitCode: 1, errors: 1 })
  t.match(
    findings.filter(({ severity }: { severity: string }) => severity === 'error'),
    [{ id: 'root-not-assigned', profile: 'Windows VPN (PKCS #12)', device: 'windows-jane', emulation: 'confirmed' }],
  )
  t.match(emulation, { disagreements: [], notEmulated: 0 })
})

t.test('its scenario names the same', async (t) => {
  const { exitCode, stderr } = await command(['run', join(example, 'scenario.yaml'), '--devices', '4'])
  t.match({ exitCode, stderr }, { exitCode: 2, stderr: /--devices: the scenario's tenant names its devices/ })
  const both = await command(['run', '--tenant', join(example, 'tenant.yaml'), '--devices', '4'])
  t.match(both, { exitCode: 2, stderr: /--devices: the tenant names its devices/ })
})
