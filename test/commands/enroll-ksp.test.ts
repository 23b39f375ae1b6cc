import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openKeyStorage, parseKsp, systemClock } from '@certfleet/agent-core'
import { runCommandLine } from '@certfleet/emulator/commands'
import t from 'tap'
import { makeStoredKey } from '#emulator/commands/enroll-key.ts'
import { FakeClock } from '../fakes/clock.ts'
import { keysBefore } from '../fakes/key-folders.ts'
import { challenge, scepLab } from './scep-lab.ts'
import { command, terminal } from './terminal.ts'

const own = await scepLab(t)
const wish = ['enroll', '--url', own.url, '--subject', 'CN=laptop-1,O=Lab', '--challenge', challenge]
const pin = 'canary-4711'

t.test('a key stays in its storage, and is there afterwards', async (t) => {
  const rows = [
    ['software', { CERTFLEET_PIN: pin }, 'software KSP (disk)'],
    ['tpm', {}, 'modelled TPM 2.0'],
    ['passport', { CERTFLEET_PIN: pin }, 'modelled Passport of user'],
  ] as const
  for (const [ksp, env, provider] of rows) {
    const out = join(t.testdir(), ksp)
    await keysBefore(out, ksp, pin)
    const { exitCode, stdout, stderr } = await command([...wish, '--ksp', ksp, '--out', out, '--json'], env)
    t.equal(exitCode, 0, stderr)
    const told = JSON.parse(stdout)
    t.match(told, {
      status: 'issued',
      files: { certificate: join(out, 'cert.pem'), chain: join(out, 'chain.pem'), csr: join(out, 'csr.pem'), key: undefined },
      keyStorage: { ksp, protection: ksp, provider, reason: 'device-choice', label: /^certfleet-[0-9a-f-]{36}$/, uri: undefined },
    })
    t.strictSame(readdirSync(out).sort(), ['cert.pem', 'chain.pem', 'csr.pem', 'keys'], 'no key.pem')
    t.strictSame(readdirSync(join(out, 'keys')), [ksp])
    const csr = join(out, 'csr.pem')
    openssl('req', '-in', csr, '-verify', '-noout')
    t.equal(openssl('req', '-in', csr, '-noout', '-pubkey'), openssl('x509', '-in', join(out, 'cert.pem'), '-noout', '-pubkey'), ksp)
    t.notMatch(openssl('req', '-in', csr, '-noout', '-text'), /challengePassword/)

    const { keys } = JSON.parse((await command(['keys', 'list', '--state', out, '--json'])).stdout)
    t.match(keys, [{ label: told.keyStorage.label, storage: ksp, key: 'RSA-2048', certificate: join(out, 'cert.pem') }], 'keys list')
    const storage = await openKeyStorage(parseKsp(ksp), { clock: systemClock, folder: out, secret: async () => pin })
    const key = await storage.open(told.keyStorage.label)
    t.equal((await key?.sign(Buffer.from('data'), 'sha256'))?.length, 256, 'it signs for who opens it again')
    await storage.close()
  }
  t.test('and is told to people', async (t) => {
    const { stdout } = await command([...wish, '--ksp', 'tpm', '--out', t.testdir()])
    t.match(
      stdout,
      /^issued .*\nserial number .*\nkey certfleet-\S+ in the modelled TPM 2\.0 \(tpm, device-choice\)\n.*cert\.pem\n.*chain\.pem\n.*csr\.pem\n$/,
    )
  })
})

t.test('a key that the storage cannot make is refused before any connection', async (t) => {
  const rows: [string, string[], RegExp][] = [
    ['tpm', ['--key-bits', '4096'], /--ksp: the modelled TPM 2\.0 makes no RSA-4096 keys, .*; choose another key, or another key storage/],
    ['passport', ['--key-bits', '4096'], /RSA-4096/],
    ['passport', ['--key-bits', '1024'], /RSA-1024/],
    ['passport', ['--key-curve', 'P-256'], /P-256/],
  ]
  const before = own.requests.length
  for (const [ksp, options, message] of rows) {
    const out = join(t.testdir(), 'out')
    const outcome = await command([...wish, '--ksp', ksp, ...options, '--out', out, '--json'], { CERTFLEET_PIN: pin })
    t.match(outcome, { exitCode: 2, stderr: message }, `${ksp} ${options}`)
    t.match(JSON.parse(outcome.stdout), { error: { code: 'BAD_INPUT' } })
    t.strictSame(await labelsIn(out), [])
  }
  t.equal(own.requests.length, before, 'no request was made')
})

t.test('a storage that is not there fails before any connection', async (t) => {
  const before = own.requests.length
  const address = `pkcs11:${join(t.testdir(), 'no-such-library.so')}?token=dev0`
  const outcome = await command([...wish, '--ksp', address, '--out', t.testdir()], { CERTFLEET_PIN: pin })
  t.match(outcome, { exitCode: 1, stdout: '', stderr: /; nothing was written\n {2}ERR_KEY_STORAGE_UNAVAILABLE: / })
  t.match(await command(['keys', 'list', '--ksp', address], { CERTFLEET_PIN: pin }), { exitCode: 1, stderr: /ERR_KEY_STORAGE_UNAVAILABLE/ })
  t.equal(own.requests.length, before)
})

t.test('a passphrase that is not the one of the folder changes nothing', async (t) => {
  const out = t.testdir()
  await keysBefore(out, 'software', pin)
  t.match(await command([...wish, '--ksp', 'software', '--out', out], { CERTFLEET_PIN: pin }), { exitCode: 0 })
  const files = filesBelow(join(out, 'keys'))
  renameSync(join(out, 'cert.pem'), join(out, 'old.pem'))
  rmSync(join(out, 'chain.pem'))
  rmSync(join(out, 'csr.pem'))
  const before = own.requests.length
  const outcome = await command([...wish, '--ksp', 'software', '--out', out], { CERTFLEET_PIN: 'another' })
  t.match(outcome, {
    exitCode: 1,
    stderr: /storage\.json cannot be opened.*; nothing was written\n {2}ERR_KEY_SECRET_REFUSED: give the PIN/,
  })
  t.equal(own.requests.length, before)
  t.strictSame(filesBelow(join(out, 'keys')), files)
  const again = await command([...wish, '--ksp', 'software', '--out', out], {}, [pin])
  t.match(again, { exitCode: 0, asked: [/^passphrase for the keys in /] }, 'a passphrase that is known is asked for once')
  t.equal((await labelsIn(out)).length, 2, 'both keys are there')
})

t.test('an enrolment that fails destroys its key, and says so', async (t) => {
  const rows: [string, string[], RegExp, object][] = [
    [
      'a wrong challenge',
      ['--challenge', 'not-that-one'],
      /failInfo badRequest; nothing was written, and its key was destroyed\n/,
      { status: 'rejected' },
    ],
    [
      'a CA of another fingerprint',
      ['--ca-fingerprint', 'ab'.repeat(32)],
      /and its key was destroyed\n {2}ERR_CA_UNTRUSTED/,
      { error: { code: 'ERR_CA_UNTRUSTED' } },
    ],
    [
      'nobody there',
      ['--url', 'http://127.0.0.1:1/scep'],
      /and its key was destroyed\n {2}ERR_NETWORK/,
      { error: { code: 'ERR_NETWORK' } },
    ],
  ]
  for (const [name, options, message, document] of rows) {
    const out = join(t.testdir(), 'out')
    const outcome = await command([...wish, '--ksp', 'tpm', '--json', '--out', out, ...options])
    t.match(outcome, { exitCode: 1, stderr: message }, name)
    t.match(JSON.parse(outcome.stdout), document, name)
    t.strictSame(readdirSync(out), ['keys'], name)
    t.strictSame(await labelsIn(out), [], name)
  }

  await t.test('a server error', async (t) => {
    own.isBroken = true
    t.teardown(() => {
      own.isBroken = false
    })
    const out = t.testdir()
    await keysBefore(out, 'software', pin)
    t.match(await command([...wish, '--ksp', 'software', '--out', out], { CERTFLEET_PIN: pin }), {
      exitCode: 1,
      stderr: /its key was destroyed/,
    })
    t.strictSame(await labelsIn(out), [])
  })

  await t.test('time that is up, and an interruption', async (t) => {
    own.decision = 'pending'
    t.teardown(() => {
      own.decision = 'issue'
    })
    for (const end of ['timeout', 'interrupt'] as const) {
      const out = t.testdir()
      await keysBefore(out, 'software', pin)
      const clock = new FakeClock(systemClock.now())
      const { io, seen, interrupt, stderr } = terminal({ clock, env: { CERTFLEET_PIN: pin } })
      const running = runCommandLine([...wish, '--ksp', 'software', '--timeout', '5', '--out', out], io)
      await seen(/the CA has not decided/)
      t.equal((await labelsIn(out)).length, 1, 'the key is there while the CA decides')
      if (end === 'timeout') await clock.advance(5_000)
      else interrupt()
      t.equal(await running, end === 'timeout' ? 1 : 130)
      t.match(stderr(), /nothing was written, and its key was destroyed/)
      t.strictSame(await labelsIn(out), [])
    }
  })
})

t.test('a key that cannot be destroyed is told by its label', async (t) => {
  const folder = t.testdir()
  const spec = { algorithm: 'rsa', bits: 2048 } as const
  const key = await makeStoredKey({ ksp: { kind: 'tpm' }, spec, folder, secret: async () => '', clock: systemClock })
  const { label } = key.handle
  rmSync(join(folder, 'keys', 'tpm'), { recursive: true })
  writeFileSync(join(folder, 'keys', 'tpm'), 'in the way')
  t.match(
    await key.discard(),
    new RegExp(`^nothing was written, but its key "${label}" is still in the modelled TPM 2.0 \\(.*ENOTDIR.*; "certfleet keys destroy"`),
  )
  await key.close()
})

t.test('files that are there are never overwritten', async (t) => {
  for (const name of ['cert.pem', 'chain.pem', 'csr.pem']) {
    const out = t.testdir({ [name]: 'mine' })
    t.match(await command([...wish, '--ksp', 'tpm', '--out', out]), { exitCode: 2, stderr: `${name} exists and is not overwritten` })
    t.strictSame(readdirSync(out), [name], 'and no key was made')
  }
  t.match(await command([...wish, '--ksp', 'tpm', '--out', t.testdir({ 'key.pem': 'mine' })]), { exitCode: 0 }, 'key.pem is not written')
})

async function labelsIn(folder: string): Promise<string[]> {
  const { stdout } = await command(['keys', 'list', '--state', folder, '--json'])
  return JSON.parse(stdout).keys.map(({ label }: { label: string }) => label)
}

function filesBelow(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile())
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), 'latin1')]))
}

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
