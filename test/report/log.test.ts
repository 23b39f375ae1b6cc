import { createSecretKey, webcrypto } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { AgentError } from '@certfleet/agent-core'
import t from 'tap'
import { type LogOptions, openLog } from '#emulator/report/log.ts'
import { type LogEvent, type LogLevel, shapes } from '#emulator/report/log-events.ts'
import { FakeClock } from '../fakes/clock.ts'
import { rsaKey } from '../fakes/rsa-keys.ts'
import { root } from '../tooling/root.ts'

const at = Date.UTC(2027, 0, 15, 8)

async function logged(events: readonly LogEvent[], level?: LogLevel): Promise<Record<string, unknown>[]> {
  const lines: string[] = []
  const log = await openLog({
    destination: { write: (line) => void lines.push(line) },
    clock: new FakeClock(at),
    onLost: () => {},
    ...(level && { level }),
  })
  for (const event of events) log.write(event)
  log.close()
  return lines.map(lineOf)
}

function lineOf(text: string): Record<string, unknown> {
  if (!/^\{[^\n]+\}\n$/.test(text)) throw new Error(`not one line: ${text}`)
  return JSON.parse(text)
}

const failed: LogEvent = {
  event: 'device-failed',
  device: 'ios-1',
  platform: 'ios',
  code: 'ERR_HTTP_STATUS',
  message: 'the CA is busy',
}

t.test('a line an event', async (t) => {
  t.strictSame(await logged([failed]), [{ level: 'warn', time: '2027-01-15T08:00:00.000Z', ...failed }])
  const ended = { event: 'run-ended', verdict: 'failed', installed: 1, failed: 2, durationMs: 3 } as const
  t.match(await logged([ended]), [ended], 'info by default')
  t.equal((await logged([failed, ended], 'error')).length, 0)
  t.match(await logged([{ event: 'threshold', threshold: 'enrollment.p99 < 2s', value: null, passed: false }]), [
    { value: null, passed: false },
  ])
})

t.test('a sentence that quotes loses what has the form of a secret', async (t) => {
  const rows: [string, string][] = [
    ['see https://user:canary@ca.example/x?challenge=canary.', 'see https://ca.example/x'],
    ['got "http://ca.example/scep?message=canary", twice', 'got "http://ca.example/scep", twice'],
    ['-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY----- was found', '[PEM] was found'],
    ['a cut one: -----BEGIN RSA PRIVATE KEY-----\ncanary', 'a cut one: [PEM]'],
    ['\x1b[2J', '\\u{1b}[2J'],
    ['x'.repeat(2_000), 'x'.repeat(1_000)],
  ]
  for (const [message, expected] of rows) t.equal((await logged([{ event: 'warning', message }]))[0]?.message, expected)
})

const canary = 'c4nary-s3cret'
const key = rsaKey()
/** What must not be in a log, in every shape that it has in the program. */
const secrets: Readonly<Record<string, unknown>> = {
  octets: Buffer.from(canary),
  octetsOfAnArray: new Uint8Array(Buffer.from(canary)).buffer,
  key: createSecretKey(Buffer.from(canary)),
  privateKey: key,
  pem: key.export({ type: 'pkcs8', format: 'pem' }),
  pfx: { pfx: Buffer.from(canary), password: canary },
  credentials: { deviceId: 'ios-1', token: canary, toJSON: () => canary, toString: () => canary },
  challenge: { challenge: canary },
  list: [canary, [Buffer.from(canary)]],
  map: new Map([[canary, canary]]),
  revealing: () => canary,
  symbol: Symbol(canary),
  url: new URL(`https://ca.example/?challenge=${canary}`),
  foreign: new Error(canary, { cause: new Error(canary) }),
  own: Object.assign(new AgentError('ERR_NETWORK', 'no connection', { cause: new Error(canary) }), { response: { body: canary } }),
  named: Object.assign(new Error(canary), { name: canary, code: canary, stack: canary }),
  request: { method: 'POST', url: `https://ca.example/?m=${canary}`, headers: { authorization: canary }, body: Buffer.from(canary) },
}
/** A PEM's first line of Base64, and the octets by other spellings. */
const spellings = [
  canary,
  Buffer.from(canary).toString('base64'),
  Buffer.from(canary).toString('hex'),
  [...Buffer.from(canary)].slice(0, 4).join(','),
  String(secrets.pem).split('\n')[1] as string,
]

t.test('no secret gets into the log through any member of any event, nor beside them', async (t) => {
  const cryptoKey = await webcrypto.subtle.importKey('raw', Buffer.from(canary), 'HKDF', false, ['deriveBits'])
  for (const [name, secret] of Object.entries({ ...secrets, cryptoKey }))
    for (const [event, { members }] of Object.entries(shapes)) {
      const filled = Object.fromEntries(Object.keys(members).map((member) => [member, secret]))
      const [line] = await logged([{ event, ...filled, password: canary, [canary]: 1 } as unknown as LogEvent], 'debug')
      const text = JSON.stringify(line)
      t.strictSame(
        spellings.filter((spelling) => text.includes(spelling)),
        [],
        `${name} in ${event}: ${text}`,
      )
    }
})

t.test('what stands in its place says what it was', async (t) => {
  const refused = Object.assign(new Error('connect 10.1.2.3'), { code: 'ECONNREFUSED' })
  const rows: [string, unknown, unknown][] = [
    ['octets', secrets.octets, '[13 octets]'],
    ['a key', secrets.key, '[key]'],
    ['a private key', secrets.privateKey, '[key]'],
    ['a function', secrets.revealing, undefined],
    ['a list', secrets.list, '[Array]'],
    ['an object', { password: 'x' }, '[Object]'],
    ['one without a class', Object.create(null), '[object]'],
    ['a number', 7, '[number]'],
    ['nothing', null, null],
    ['an error of the agent', secrets.own, '[ERR_NETWORK]'],
    ['one of the system', refused, '[ECONNREFUSED]'],
    ['one with a code that nobody knows', secrets.named, '[Error]'],
    ['another', new TypeError(canary), '[TypeError]'],
  ]
  for (const [name, message, expected] of rows)
    t.strictSame((await logged([{ event: 'warning', message } as LogEvent]))[0]?.message, expected, name)
})

t.test('docs/load-testing.md names every event, its level and its members', async (t) => {
  const page = readFileSync(join(root, 'docs/load-testing.md'), 'utf8')
  for (const [event, { level, members }] of Object.entries(shapes))
    t.ok(page.includes(`| \`${event}\` | ${level} | ${Object.keys(members).join(', ')} |`), event)
})

t.test('a file', async (t) => {
  const folder = t.testdir({})
  const path = join(folder, 'run.log')
  const lost: string[] = []
  const options: LogOptions = { destination: path, clock: new FakeClock(at), onLost: (message) => void lost.push(message) }
  for (let run = 0; run < 2; run++) {
    const log = await openLog(options)
    log.write(failed)
    t.equal(readFileSync(path, 'utf8').split('\n').length, run + 2, 'at once, after what was there')
    log.close()
    log.close()
    log.write(failed)
  }
  t.strictSame(lost, [])
  if (process.platform !== 'win32') t.equal(statSync(path).mode & 0o777, 0o600)
  await t.rejects(openLog({ ...options, destination: join(folder, 'none', 'run.log') }), {
    name: 'InputError',
    message: /^--log: .*run\.log cannot be written \(ENOENT\); name a file/,
  })
})

t.test('a full disk ends the log, not the run', { skip: process.platform !== 'linux' }, async (t) => {
  const lost: string[] = []
  const log = await openLog({ destination: '/dev/full', clock: new FakeClock(at), onLost: (message) => void lost.push(message) })
  log.write(failed)
  log.write(failed)
  log.close()
  t.strictSame(lost, ['the log ends here: /dev/full cannot be written (ENOSPC)'])
})
