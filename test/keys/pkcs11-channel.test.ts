import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { inspect, promisify } from 'node:util'
import { AgentError, type AgentErrorCode, type Clock, systemClock } from '@certfleet/agent-core'
import t from 'tap'
import { type Channel, openChannel } from '#agent-core/keys/pkcs11/channel.ts'
import type { TokenFacts } from '#agent-core/keys/pkcs11/facts.ts'
import { loginTo } from '#agent-core/keys/pkcs11/login.ts'
import { pkcs11Keys } from '#agent-core/keys/pkcs11/provider.ts'
import { root } from '../tooling/root.ts'

/** A thread that answers `list` with what it was started with, and does what the namespace says. */
const entry = new URL(
  `data:text/javascript,${encodeURIComponent(`
  import { parentPort, workerData } from 'node:worker_threads'
  parentPort.on('message', ({ id, name, ask }) => {
    if (ask.namespace === 'crash') throw new Error('a crash')
    if (ask.namespace === 'exit') process.exit(3)
    if (ask.namespace === 'fail') return parentPort.postMessage({ id, failure: { code: 'ERR_KEY_EXISTS', message: 'it exists' } })
    if (ask.namespace === 'bug') return parentPort.postMessage({ id, bug: 'TypeError: not foreseen' })
    if (ask.namespace !== 'never') parentPort.postMessage({ id, answer: name === 'finish' ? undefined : workerData })
  })
`)}`,
)
const ask = (channel: Channel, namespace: string) => channel.ask('list', { token: 'dev0', namespace })

t.test('a library has one thread, as long as anybody uses it', async (t) => {
  const first = await openChannel('/one.so', entry)
  const second = await openChannel('/one.so', entry)
  t.strictSame(await ask(first, ''), { module: '/one.so', isLeftOver: false })
  await first.release()
  await first.release()
  t.equal(second.isOpen(), true, 'who releases twice counts once')
  await t.rejects(ask(second, 'fail'), new AgentError('ERR_KEY_EXISTS', 'it exists'))
  await t.rejects(ask(second, 'bug'), { name: 'Error', message: 'in the PKCS#11 worker: TypeError: not foreseen' })
  const ended = second.release()
  const third = await openChannel('/one.so', entry)
  await ended
  t.equal(second.isOpen(), false)
  t.strictSame(await ask(third, ''), { module: '/one.so', isLeftOver: false }, 'the next one waited for the end')
  await third.release()
})

t.test('a thread that crashes fails everything under way; the next to open it starts another', async (t) => {
  for (const way of ['crash', 'exit']) {
    const channel = await openChannel('/two.so', entry)
    const failed = { code: 'ERR_KEY_STORAGE_UNAVAILABLE', message: 'the thread of the PKCS#11 library /two.so ended unexpectedly' }
    const waiting = [ask(channel, 'never'), ask(channel, way)]
    for (const answer of waiting) await t.rejects(answer, failed, way)
    await t.rejects(ask(channel, ''), failed)
    const next = await openChannel('/two.so', entry)
    t.strictSame(await ask(next, ''), { module: '/two.so', isLeftOver: true }, 'it is told that the library is in use still')
    await channel.release()
    t.equal(next.isOpen(), true)
    await next.release()
  }
})

const facts: TokenFacts = { manufacturer: 'nobody', curves: [], pkcs1: 'raw' }

/** Channels that answer `open` and `check` with the next of these codes, or well. */
function channels(codes: (AgentErrorCode | undefined)[]) {
  const asked: string[] = []
  let isOpen = true
  const open = async (): Promise<Channel> => {
    isOpen = true
    asked.push('thread')
    return {
      async ask(name) {
        asked.push(name)
        const code = codes.shift()
        if (code !== undefined) throw new AgentError(code, `${name} failed`)
        return (name === 'open' ? facts : undefined) as never
      },
      isOpen: () => isOpen,
      release: async () => void asked.push('release'),
    }
  }
  return { asked, open, lose: () => (isOpen = false) }
}

function impatientClock(): Clock & { readonly sleeps: number[] } {
  const sleeps: number[] = []
  return { sleeps, now: () => 0, sleep: async (ms) => void sleeps.push(ms) }
}

const access = (clock: Clock = impatientClock()) => ({ module: '/p11.so', token: 'dev0', pin: 'canary-55', clock })

t.test('a token is opened once, and again in a new thread when its thread was lost', async (t) => {
  const { asked, open, lose } = channels([])
  const login = loginTo(access(), open)
  t.equal(await login.facts(), facts)
  await Promise.all([login.ask('check', { token: 'dev0' }), login.ask('check', { token: 'dev0' })])
  t.strictSame(asked.splice(0), ['thread', 'open', 'check', 'check'])
  lose()
  await Promise.all([login.ask('check', { token: 'dev0' }), login.ask('check', { token: 'dev0' })])
  t.strictSame(asked.splice(0), ['thread', 'open', 'check', 'check'])
  await login.close()
  await login.close()
  t.strictSame(asked, ['close', 'release'])
  await t.rejects(login.ask('check', { token: 'dev0' }), { code: 'ERR_KEY_STORAGE_UNAVAILABLE', message: /is closed/ })
})

t.test('a PIN that was refused is sent once', async (t) => {
  const { asked, open } = channels(['ERR_KEY_SECRET_REFUSED'])
  const login = loginTo(access(), open)
  for (const _ of [1, 2, 3]) await t.rejects(login.facts(), { code: 'ERR_KEY_SECRET_REFUSED' })
  t.strictSame(asked, ['thread', 'open', 'release'])
  await login.close()
  t.notMatch(inspect(login, { depth: null, showHidden: true }), /canary/)
})

t.test('a token that is away is asked for again', async (t) => {
  const { asked, open } = channels(['ERR_KEY_STORAGE_UNAVAILABLE'])
  const login = loginTo(access(), open)
  await t.rejects(login.facts(), { code: 'ERR_KEY_STORAGE_UNAVAILABLE' })
  t.equal(await login.facts(), facts)
  t.equal(asked.filter((name) => name === 'open').length, 2)
})

t.test('a token that is busy is asked again, within bounds', async (t) => {
  const clock = impatientClock()
  const { asked, open } = channels([undefined, 'ERR_KEY_STORAGE_BUSY', 'ERR_KEY_STORAGE_BUSY'])
  const login = loginTo(access(clock), open)
  await login.ask('check', { token: 'dev0' })
  t.strictSame(asked, ['thread', 'open', 'check', 'check', 'check'])
  t.equal(clock.sleeps.length, 2)
  const busy = channels([undefined, ...Array.from({ length: 50 }, () => 'ERR_KEY_STORAGE_BUSY' as const)])
  await t.rejects(loginTo(access(), busy.open).ask('check', { token: 'dev0' }), { code: 'ERR_KEY_STORAGE_BUSY' })
  t.ok(busy.asked.length < 20)
})

const options = { module: join(t.testdirName, 'no-such-library.so'), token: 'dev0', pin: 'canary-55', clock: systemClock }

t.test('options out of range are refused before anything is loaded', async (t) => {
  const rows: [string, Partial<Parameters<typeof pkcs11Keys>[0]>][] = [
    ['no library', { module: '' }],
    ['no token', { token: '' }],
    ['no PIN', { pin: '' }],
    ['PIN of another type', { pin: undefined as unknown as string }],
    ['empty namespace', { namespace: '' }],
    ['namespace of 65 characters', { namespace: 'n'.repeat(65) }],
    ['namespace that is not ASCII', { namespace: 'ä' }],
  ]
  for (const [name, wrong] of rows) await t.rejects(pkcs11Keys({ ...options, ...wrong }), { code: 'ERR_UNSUPPORTED' }, name)
})

t.test('the real thread starts, and says that there is no such library', async (t) => {
  // Without pkcs11js it says that instead.
  const failed = { code: 'ERR_KEY_STORAGE_UNAVAILABLE', message: /no-such-library\.so cannot be loaded|npm install pkcs11js@2/ }
  await t.rejects(pkcs11Keys({ ...options, namespace: 'n'.repeat(64) }), failed)
  await t.rejects(pkcs11Keys(options), failed, 'and so does the next')
})

t.test('the thread starts from source as the command line does, from any folder', async (t) => {
  const script = `
    const { register } = await import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))})
    register({ tsconfig: ${JSON.stringify(join(root, 'tsconfig.source.json'))} })
    const { pkcs11Keys } = await import(${JSON.stringify(join(root, 'packages/agent-core/src/keys/pkcs11/provider.ts'))})
    await pkcs11Keys({ module: '/no.so', token: 'dev0', pin: 'canary', clock: {} }).catch((error) => console.log(error.code, error.message))
  `
  // Not as tap starts Node: its loaders would be there too.
  const { NODE_OPTIONS: _, ...env } = process.env
  const run = promisify(execFile)
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { cwd: t.testdir(), env })
  t.match(stdout, /^ERR_KEY_STORAGE_UNAVAILABLE .*(\/no\.so cannot be loaded|npm install pkcs11js@2)/)
})
