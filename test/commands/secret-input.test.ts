import { chmodSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { openKeyStorage, systemClock } from '@certfleet/agent-core'
import { runCommandLine } from '@certfleet/emulator/commands'
import t from 'tap'
import { keysBefore } from '../fakes/key-folders.ts'
import { challenge, scepLab } from './scep-lab.ts'
import { command, terminal } from './terminal.ts'

const own = await scepLab(t)
const wish = ['enroll', '--url', own.url, '--subject', 'CN=laptop-1,O=Lab', '--challenge', challenge]
const pin = 'canary-4711'

t.test('the PIN or passphrase comes from a file, the environment or the terminal', async (t) => {
  const folder = t.testdir({ 'pin.txt': `${pin}\r\nsecond line\n`, 'empty.txt': '\nsecond line\n' })
  for (const name of ['pin.txt', 'empty.txt']) chmodSync(join(folder, name), 0o600)
  const file = (name: string) => ['--pin-file', join(folder, name)]
  const noTerminal = undefined
  const rows: [string, { options?: string[]; env?: Record<string, string>; typed?: string[] | undefined }, object][] = [
    ['a file', { options: file('pin.txt') }, { exitCode: 0 }],
    ['the environment', { env: { CERTFLEET_PIN: pin } }, { exitCode: 0 }],
    ['a file before the environment', { options: file('pin.txt'), env: { CERTFLEET_PIN: 'another' } }, { exitCode: 0 }],
    ['the environment before the terminal', { env: { CERTFLEET_PIN: pin }, typed: [] }, { exitCode: 0, asked: [] }],
    ['the terminal, twice', { typed: [pin, pin] }, { exitCode: 0, asked: [/^new passphrase for the keys in .*: $/, 'the same again: '] }],
    ['an environment that is empty', { env: { CERTFLEET_PIN: '' }, typed: [pin, pin] }, { exitCode: 0, asked: { length: 2 } }],
    ['two entries that differ', { typed: [pin, `${pin}x`] }, { exitCode: 2, stderr: /the two entries differ; nothing was done/ }],
    ['an empty entry', { typed: [''] }, { exitCode: 2, stderr: /the passphrase for the keys in .* is empty/ }],
    [
      'nobody',
      { typed: noTerminal },
      { exitCode: 2, stderr: /no passphrase for the keys in .*: set CERTFLEET_PIN or .* --pin-file; there is no/ },
    ],
    [
      'a file whose first line is empty',
      { options: file('empty.txt') },
      { exitCode: 2, stderr: /its first line is empty; expected the PIN/ },
    ],
    ['a file that is not there', { options: file('none.txt') }, { exitCode: 2, stderr: /--pin-file .*cannot be read \(ENOENT\)/ }],
  ]
  for (const [index, [name, { options = [], env, typed }, expected]] of rows.entries()) {
    const out = join(folder, String(index))
    // The first is chosen, and what is typed; the others open what is there.
    if (index > 0 && !typed?.length) await keysBefore(out, 'software', pin)
    const before = own.requests.length
    const outcome = await command([...wish, '--ksp', 'software', '--out', out, ...options], env, typed)
    t.match(outcome, expected, name)
    t.notMatch(outcome.stdout + outcome.stderr, pin, `${name}: not repeated`)
    t.equal(existsSync(join(out, 'cert.pem')), outcome.exitCode === 0, name)
    t.equal(own.requests.length > before, outcome.exitCode === 0, `${name}: nothing is asked of the server before`)
    if (outcome.exitCode === 0) t.equal(await opens(out, pin), true, `${name}: the first line alone`)
  }
  t.test('a file that others can read is told', async (t) => {
    chmodSync(join(folder, 'pin.txt'), 0o640)
    const told = await command([...wish, '--ksp', 'passport', '--out', t.testdir(), ...file('pin.txt')])
    t.match(told, { exitCode: 0, stderr: /^warning: --pin-file .*pin\.txt: others on this machine can read it; "chmod 600" ends that$/m })
  })
})

t.test('a Passport asks its user', async (t) => {
  const out = t.testdir()
  const enroll = (typed: string[]) => command([...wish, '--ksp', 'passport', '--out', out], {}, typed)
  t.match(await enroll([pin, pin]), { exitCode: 0, asked: ['new PIN for the Passport container of user: ', 'the same again: '] })
  rmSync(join(out, 'cert.pem'))
  rmSync(join(out, 'chain.pem'))
  rmSync(join(out, 'csr.pem'))
  t.match(await enroll(['wrong-pin']), {
    exitCode: 1,
    asked: ['PIN for the Passport container of user: '],
    stderr: /user entered a wrong PIN, 3 tries left; nothing was written\n {2}ERR_USER_ACTION_REQUIRED/,
  })
  t.match(await enroll([pin]), { exitCode: 0, asked: { length: 1 } })
  const short = await command([...wish, '--ksp', 'passport', '--out', t.testdir({})], { CERTFLEET_PIN: '4711' })
  t.match(short, { exitCode: 1, stderr: /PIN has 6 to 127 characters/ })
})

t.test('an interruption at the prompt ends with 130', async (t) => {
  for (const [ksp, question] of [
    ['software', /new passphrase/],
    ['passport', /new PIN/],
  ] as const) {
    const { io, seen, interrupt, stderr } = terminal({ typed: [] })
    const running = runCommandLine([...wish, '--ksp', ksp, '--out', t.testdir()], io)
    await seen(question)
    interrupt()
    t.equal(await running, 130)
    t.match(stderr(), /interrupted; nothing was written/)
  }
})

async function opens(folder: string, passphrase: string): Promise<boolean> {
  const storage = await openKeyStorage({ kind: 'software' }, { clock: systemClock, folder, secret: async () => passphrase })
  const [label = ''] = await storage.list()
  const key = await storage.open(label)
  await storage.close()
  return key !== undefined
}
