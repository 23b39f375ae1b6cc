import { execFileSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunResults } from '@certfleet/emulator/fleet'
import t from 'tap'
import { exampleProfiles } from '../commands/example.ts'
import { challenge, scepLab } from '../commands/scep-lab.ts'
import { command } from '../commands/terminal.ts'
import { emptyKeys, isTpm, noToken, openKeys, token } from './token.ts'

const address = process.env.CERTFLEET_HARDWARE_TOKEN ?? ''
const env = { CERTFLEET_PIN: token.pin }
const protection = isTpm ? 'tpm' : 'pkcs11'

t.test('the commands, with a token', { skip: noToken }, async (t) => {
  const own = await scepLab(t)
  await (await emptyKeys('certfleet')).close()
  const wish = ['enroll', '--url', own.url, '--subject', 'CN=laptop-1,O=Lab', '--challenge', challenge, '--ksp', address]
  const labels = async () => {
    const { exitCode, stdout, stderr } = await command(['keys', 'list', '--ksp', address, '--json'], env)
    t.equal(exitCode, 0, stderr)
    return JSON.parse(stdout).keys.map(({ label }: { label: string }) => label)
  }

  await t.test('enroll leaves the key on it', async (t) => {
    const out = t.testdir()
    const { exitCode, stdout, stderr } = await command([...wish, '--out', out, '--json'], env)
    t.equal(exitCode, 0, stderr)
    const { keyStorage } = JSON.parse(stdout)
    t.match(keyStorage, {
      ksp: address,
      protection,
      provider: /^PKCS#11 token /,
      reason: 'device-choice',
      uri: /^pkcs11:token=.*;object=certfleet%2F/,
    })
    t.strictSame(readdirSync(out).sort(), ['cert.pem', 'chain.pem', 'csr.pem'])
    const csr = join(out, 'csr.pem')
    openssl('req', '-in', csr, '-verify', '-noout')
    t.equal(openssl('req', '-in', csr, '-noout', '-pubkey'), openssl('x509', '-in', join(out, 'cert.pem'), '-noout', '-pubkey'))
    const listed = await command(['keys', 'list', '--ksp', address, '--state', out, '--json'], env)
    t.match(JSON.parse(listed.stdout), { keys: [{ label: keyStorage.label, key: 'RSA-2048', certificate: join(out, 'cert.pem') }] })

    t.match(await command(['keys', 'destroy', 'none', '--ksp', address, '--yes'], env), {
      exitCode: 1,
      stderr: `there are "${keyStorage.label}"`,
    })
    t.match(await command(['keys', 'destroy', keyStorage.label, '--ksp', address, '--yes'], env), { exitCode: 0 })
    t.strictSame(await labels(), [])
  })

  await t.test('an enrolment that fails leaves none', async (t) => {
    const outcome = await command([...wish, '--challenge', 'no', '--out', t.testdir()], env)
    t.match(outcome, { exitCode: 1, stderr: /its key was destroyed/ })
    t.strictSame(await labels(), [])
  })

  await t.test('a wrong PIN is refused before any connection, and not repeated', async (t) => {
    const before = own.requests.length
    const outcome = await command([...wish, '--out', t.testdir()], { CERTFLEET_PIN: 'canary-0815' })
    t.match(outcome, { exitCode: 1, stderr: /nothing was written\n {2}ERR_KEY_SECRET_REFUSED/ })
    t.notMatch(outcome.stdout + outcome.stderr, 'canary-0815')
    t.equal(own.requests.length, before)
    t.strictSame(await labels(), [], 'the right one still opens it')
  })

  await t.test('a fleet shares it, and leaves none', async (t) => {
    const folder = t.testdir()
    const scenario = join(folder, 'fleet.yaml')
    writeFileSync(scenario, `devices: 4\nprofiles: ${exampleProfiles}\nksp: ${JSON.stringify(address)}\n`)
    const { exitCode, stdout, stderr } = await command(['run', scenario, '--in-process', '--json'], env)
    t.equal(exitCode, 0, stderr)
    const results = JSON.parse(stdout) as RunResults
    t.match(results, { outcomes: { installed: 4, failed: 0 }, keys: { [protection]: 4 }, keyStorageReasons: { 'device-choice': 4 } })
    const left = await Promise.all(['ios', 'macos', 'android', 'windows'].map((name) => labelsOf(`fleet/${name}-000001`)))
    t.strictSame(left.flat(), [])
  })
})

async function labelsOf(namespace: string): Promise<readonly string[]> {
  const keys = await openKeys({ namespace })
  const labels = await keys.list()
  await keys.close()
  return labels
}

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
