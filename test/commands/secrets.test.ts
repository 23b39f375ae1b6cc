import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { openKeyStorage, parseKsp, systemClock } from '@certfleet/agent-core'
import t from 'tap'
import { keysBefore } from '../fakes/key-folders.ts'
import { exampleProfiles } from './example.ts'
import { challenge, scepLab } from './scep-lab.ts'
import { command, type Outcome } from './terminal.ts'

const own = await scepLab(t)
const wish = ['enroll', '--url', own.url, '--subject', 'CN=laptop-1', '--challenge', challenge]
const canary = 'canary-4711-äß'
const wrong = 'canary-0815-öü'
const storages = ['software', 'passport'] as const

t.test('a PIN or passphrase is in no output and in no file', async (t) => {
  const folder = t.testdir({ work: {}, 'pin.txt': `${canary}\n`, 'wrong.txt': `${wrong}\n` })
  for (const name of ['pin.txt', 'wrong.txt']) chmodSync(join(folder, name), 0o600)
  const out = (name: string) => join(folder, 'work', name)
  const outcomes: [string, number, Outcome][] = []
  const note = async (name: string, exitCode: number, outcome: Promise<Outcome>) => outcomes.push([name, exitCode, await outcome])
  for (const ksp of storages) {
    // Chosen anew where it is typed, which costs the dear scrypt.
    for (const name of ['file', 'env', 'rejected']) await keysBefore(out(`${ksp}-${name}`), ksp, canary)
    const enroll = (name: string) => [...wish, '--ksp', ksp, '--out', out(`${ksp}-${name}`)]
    await note(`${ksp} from a file`, 0, command([...enroll('file'), '--pin-file', join(folder, 'pin.txt'), '--json']))
    await note(`${ksp} from the environment`, 0, command(enroll('env'), { CERTFLEET_PIN: canary }))
    await note(`${ksp} from the terminal`, 0, command(enroll('typed'), {}, [canary, canary]))
    await note(`${ksp} mistyped`, 2, command(enroll('mistyped'), {}, [canary, wrong]))
    await note(`${ksp} rejected`, 1, command([...enroll('rejected'), '--challenge', 'no'], { CERTFLEET_PIN: canary }))
    await note(`${ksp} as an option`, 2, command([...enroll('option'), '--pin', canary, '--json']))
    await note(`${ksp} as a key storage`, 2, command([...enroll('option'), '--ksp', `pkcs11:/l?token=a&pin-value=${canary}`, '--json']))
    for (const file of ['cert.pem', 'chain.pem', 'csr.pem']) rmSync(join(out(`${ksp}-file`), file))
    await note(`${ksp} wrong`, 1, command([...enroll('file'), '--pin-file', join(folder, 'wrong.txt'), '--json']))
    await note(`${ksp} listed`, 0, command(['keys', 'list', '--state', out(`${ksp}-env`), '--json'], { CERTFLEET_PIN: canary }))
  }
  await note('no token', 1, command(['keys', 'list', '--ksp', 'pkcs11:/no/lib.so?token=a'], { CERTFLEET_PIN: canary }))
  const scenario = join(folder, 'fleet.yaml')
  writeFileSync(scenario, `devices: { ios: 1, windows: 1 }\nprofiles: ${exampleProfiles}\nksp: passport\npin-file: pin.txt\n`)
  await note('a fleet', 0, command(['run', scenario, '--in-process', '--out', out('fleet'), '--json']))
  writeFileSync(scenario, 'ksp: "pkcs11:/no/lib.so?token=a"\ndevices: 1\n')
  await note('a fleet without its token', 1, command(['run', scenario, '--in-process', '--json'], { CERTFLEET_PIN: canary }))

  for (const [name, exitCode, outcome] of outcomes) {
    t.equal(outcome.exitCode, exitCode, `${name}: ${outcome.stderr}`)
    t.strictSame(leaks(new Map([[name, outcome.stdout + outcome.stderr + outcome.asked.join('\n')]])), [], name)
  }
  const files = filesBelow(join(folder, 'work'))
  t.ok(files.size > 20, `${files.size} files were looked through`)
  t.ok([...files.keys()].some((name) => name.endsWith('results.json')))
  t.strictSame(leaks(files), [])
})

t.test('a PIN or passphrase is in no error and in nothing that can be inspected', async (t) => {
  const folder = t.testdir()
  for (const ksp of storages) {
    await keysBefore(folder, ksp, canary)
    const options = { clock: systemClock, folder, secret: async () => canary }
    const storage = await openKeyStorage(parseKsp(ksp), options)
    const key = await storage.generate({ algorithm: 'rsa', bits: 2048 }, 'k1')
    const shown = new Map<string, string>([[ksp, inspect([storage, key], { depth: 10, showHidden: true })]])
    await storage.close()
    const refused = async () => {
      const again = await openKeyStorage(parseKsp(ksp), { ...options, secret: async () => wrong })
      await (await again.open('k1'))?.sign(Buffer.from('data'), 'sha256')
    }
    const error = await refused().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    t.match(error, { name: 'AgentError' }, ksp)
    t.strictSame(leaks(shown.set('error', inspect(error, { depth: 10, showHidden: true }))), [], ksp)
  }
})

t.test('the search finds what is there', async (t) => {
  const places = [canary, wrong].flatMap((secret) => ['utf8', 'base64', 'hex'].map((form) => Buffer.from(secret).toString(form as 'hex')))
  for (const text of places) t.equal(leaks(new Map([['a', `xx ${text} xx`]])).length, 1)
  t.strictSame(leaks(new Map([['a', 'nothing']])), [])
})

function leaks(places: ReadonlyMap<string, string>): string[] {
  const forms = [canary, wrong].flatMap((secret) => {
    const bytes = Buffer.from(secret)
    return [secret, bytes.toString('latin1'), bytes.toString('base64').replace(/=+$/, ''), bytes.toString('hex')]
  })
  return [...places].flatMap(([place, text]) => forms.filter((form) => text.includes(form)).map((form) => `${form} in ${place}`))
}

/** As latin1, in which the canary's UTF-8 has a spelling of its own. */
function filesBelow(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile())
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), 'latin1')]))
}
