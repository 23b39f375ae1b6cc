import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type HttpRequest, type HttpResponse, systemClock } from '@certfleet/agent-core'
import { runCommandLine } from '@certfleet/emulator/commands'
import { populationOf } from '@certfleet/emulator/fleet'
import { createLab, serveLab } from '@certfleet/emulator/lab'
import { assignProfiles, generateTenant, loadExport, renderPolicy, retarget } from '@certfleet/emulator/tenant'
import t, { type Test } from 'tap'
import { labStore } from '../fakes/lab-store.ts'
import { primesFolder } from '../fleet/emulated-keys.ts'
import { exampleProfiles } from './example.ts'
import { terminal } from './terminal.ts'

const token = 'canary-token-4711'
const challenge = 'canary-challenge-0815'
const administrator = { name: 'admin', password: 'canary-password-23' }
const pin = '47110815'
/** Whatever else was seen to go over the wire that is for one device alone. */
const secrets = new Set([token, challenge, administrator.password, pin])

const imported = await loadExport(exampleProfiles)
const tenant = generateTenant({ kinds: populationOf({ ios: 2, windows: 1 }), domain: 'contoso.example' })

/** The lab notes every credential, challenge and password that goes through it. */
async function watchedLab(t: Test) {
  const lab = await createLab({
    store: await labStore(systemClock),
    clock: systemClock,
    registrationToken: token,
    staticChallenge: challenge,
    ndes: { administrators: [administrator] },
    policyFor(deviceId) {
      const { intent } = assignProfiles(retarget(imported, { root: lab.rootCertificate, scepUrl: served.scepUrl }).imported, tenant)
      return renderPolicy(intent, tenant, deviceId, { revision: 1 })
    },
  })
  const served = await serveLab({ ...lab, handle: async (request) => noted(request, await lab.handle(request)) })
  t.teardown(() => served.close())
  return { lab, served }
}

function noted({ headers, url }: HttpRequest, response: HttpResponse): HttpResponse {
  const { authorization } = headers
  if (authorization) secrets.add(authorization.replace(/^\S+ /, ''))
  const text = Buffer.from(response.body).toString('latin1')
  const [, named] = /"(?:challenge|credential)" ?: ?"([^"]+)"/.exec(text) ?? []
  if (named) secrets.add(named)
  const [, shown] = /([0-9A-F]{16})/.exec(text.replaceAll('\0', '')) ?? []
  if (shown && url.includes('mscep_admin')) secrets.add(shown)
  return response
}

t.test('no secret of a run is in anything that it shows', async (t) => {
  const { lab, served } = await watchedLab(t)
  const folder = t.testdir({
    token: `${token}\n`,
    challenge: `${challenge}\n`,
    password: `${administrator.password}\n`,
    pin: `${pin}\n`,
    wrong: 'canary-wrong\n',
  })
  secrets.add('canary-wrong')
  for (const name of ['token', 'challenge', 'password', 'pin', 'wrong']) chmodSync(join(folder, name), 0o600)
  writeFileSync(join(folder, 'root.cer'), lab.rootCertificate)
  const pool = await primesFolder(join(folder, 'keys'))
  const scep = (kind: string) => `{ scep: { url: "${served.scepUrl}", root: root.cer, challenge: ${kind} } }`
  const page = (file: string) => `{ mscepAdmin: "${new URL('/certsrv/mscep_admin/', served.url)}", user: admin, password-file: ${file} }`
  const targets: [string, number, string][] = [
    ['a policy service', 0, `{ policy: { url: "${served.policyUrl}", token-file: token } }`],
    ['a wrong token', 1, `{ policy: { url: "${served.policyUrl}", token-file: wrong } }`],
    ['a challenge for all', 0, scep('{ file: challenge }')],
    ['a wrong challenge', 1, scep('{ file: wrong }')],
    ['passwords of mscep_admin', 0, scep(page('password'))],
    ['a wrong password', 1, scep(page('wrong'))],
  ]
  for (const [index, [name, exitCode, target]] of targets.entries()) {
    const work = join(folder, `work-${index}`)
    writeFileSync(
      join(folder, 's.yaml'),
      `devices: { ios: 2, windows: ${target.includes('policy') ? 1 : 0} }\nseed: ${index}\nkeys: primes\nduration: 1s\ntarget: ${target}\n`,
    )
    const files = ['--key-pool', pool, '--out', join(work, 'out'), '--report', join(work, 'report'), '--log', join(folder, `log-${index}`)]
    const shown = await run([
      'run',
      join(folder, 's.yaml'),
      ...files,
      '--log-level',
      'debug',
      '--metrics',
      '0',
      ...(index % 2 ? ['--json'] : []),
    ])
    t.equal(shown.exitCode, exitCode, `${name}: ${shown.text.slice(0, 3_000)}`)
    const places = new Map([...filesBelow(work), ['log', readFileSync(join(folder, `log-${index}`), 'latin1')], ['shown', shown.text]])
    for (const file of ['report/results.json', 'report/report.html', 'report/junit.xml', 'log']) t.ok(places.has(file), file)
    t.strictSame(leaks(places), [], name)
  }
  t.ok(secrets.size > 9, `${secrets.size} secrets were seen`)

  const passport = join(folder, 'p.yaml')
  writeFileSync(passport, 'devices: { windows: 1 }\nksp: passport\npin-file: pin\n')
  const kept = await run([
    'run',
    passport,
    '--in-process',
    '--report',
    join(folder, 'pin-report'),
    '--log',
    join(folder, 'pin-log'),
    '--metrics',
    '0',
  ])
  t.equal(kept.exitCode, 0, kept.text)
  const places = [
    ...filesBelow(join(folder, 'pin-report')),
    ['log', readFileSync(join(folder, 'pin-log'), 'latin1')],
    ['shown', kept.text],
  ] as const
  t.strictSame(leaks(new Map(places)), [], 'a PIN')
})

/** Runs to the end, with what was shown: stdout, stderr, and the figures while it ran. */
async function run(argv: readonly string[]) {
  const { io, seen, stdout, stderr } = terminal()
  const running = runCommandLine(argv, io)
  await seen(/metrics at/)
  const url = /metrics at (\S+)/.exec(stderr())?.[1] as string
  const figures: string[] = []
  let isOver = false
  const scraping = async () => {
    while (!isOver) {
      figures.push(
        await fetch(url).then(
          (answer) => answer.text(),
          () => '',
        ),
      )
      await systemClock.sleep(50)
    }
  }
  const [exitCode] = await Promise.all([running.finally(() => (isOver = true)), scraping()])
  return { exitCode, text: [stdout(), stderr(), ...figures].map((text) => Buffer.from(text).toString('latin1')).join('\n') }
}

t.test('the search finds what is there', async (t) => {
  for (const secret of [challenge, token]) {
    for (const form of ['utf8', 'base64', 'hex'] as const)
      t.ok(leaks(new Map([['a', Buffer.from(`xx ${Buffer.from(secret).toString(form)} xx`).toString('latin1')]])).length > 0, form)
    const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(`12345${secret}`).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`
    t.ok(leaks(new Map([['a', pem]])).length > 0, 'within PEM')
  }
  t.ok(leaks(new Map([['a', '-----BEGIN PRIVATE KEY-----']])).length > 0)
  t.strictSame(leaks(new Map([['a', 'nothing']])), [])
})

function leaks(places: ReadonlyMap<string, string>): string[] {
  const forms = [...secrets].flatMap((secret) => {
    const bytes = Buffer.from(secret)
    return [bytes.toString('latin1'), bytes.toString('base64').replace(/=+$/, ''), bytes.toString('hex')]
  })
  return [...places].flatMap(([place, text]) => {
    const whole = text + inPem(text)
    return [...forms, 'PRIVATE KEY'].filter((form) => whole.includes(form)).map((form) => `${form} in ${place}`)
  })
}

function inPem(text: string): string {
  const bodies = [...text.matchAll(/-----BEGIN [A-Z ]+-----([^-]*)-----END/g)]
  return bodies.map(([, body = '']) => Buffer.from(body, 'base64').toString('latin1')).join('\n')
}

/** As latin1, in which the UTF-8 of a canary has a spelling of its own. */
function filesBelow(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile())
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), 'latin1')]))
}
