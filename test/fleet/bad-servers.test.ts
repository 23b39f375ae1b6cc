import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@certfleet/agent-core'
import type { Results } from '@certfleet/emulator/fleet'
import { createLab } from '@certfleet/emulator/lab'
import { assignProfiles, generateTenant, loadExport, renderPolicy, retarget } from '@certfleet/emulator/tenant'
import t, { type Test } from 'tap'
import { exampleProfiles } from '../commands/example.ts'
import { type BadHabit, type BadServerOptions, badServer } from '../fakes/bad-server.ts'
import { labStore } from '../fakes/lab-store.ts'
import { runScenario, spawnScenario } from '../fakes/scenario-run.ts'

/** In the tenant. */
const most = 10
/** Longer than any good answer takes on a busy machine. */
const patience = '20s'
/** Of those who wait in vain. */
const impatience = '500ms'
const challenge = 'open-sesame-17'
const tenant = generateTenant({ counts: { ios: most }, domain: 'contoso.example' })
const imported = await loadExport(exampleProfiles)
let scepUrl = ''
const lab = await createLab({
  store: await labStore(systemClock),
  clock: systemClock,
  registrationToken: 'token',
  staticChallenge: challenge,
  policyFor(deviceId) {
    const { intent } = assignProfiles(retarget(imported, { root: lab.rootCertificate, scepUrl }).imported, tenant)
    return renderPolicy(intent, tenant, deviceId, { revision: 1 })
  },
})

interface Situation extends BadServerOptions {
  readonly kind: 'policy' | 'scep'
  readonly devices: number
  readonly timeout?: string
  /** In a process of its own. */
  readonly isSpawned?: boolean
  /** Further lines of the scenario. */
  readonly more?: string
}

/** A scenario against a server in front of the lab, and what it was seen to do. */
async function against(t: Test, { kind, devices, timeout = patience, isSpawned = false, more = '', ...options }: Situation) {
  const server = await badServer(t, lab.handle, options)
  scepUrl = `${server.url}/certsrv/mscep/mscep.dll`
  const folder = t.testdir({ secret: kind === 'policy' ? 'token\n' : `${challenge}\n` })
  const file = (name: string) => JSON.stringify(join(folder, name))
  chmodSync(join(folder, 'secret'), 0o600)
  writeFileSync(join(folder, 'root.cer'), lab.rootCertificate)
  const target = {
    policy: `{ policy: { url: "${server.url}/device/policy", token-file: ${file('secret')} } }`,
    scep: `{ scep: { url: "${scepUrl}", root: ${file('root.cer')}, challenge: { file: ${file('secret')} } } }`,
  }
  const own = [`devices: { ios: ${devices} }`, `timeout: ${timeout}`, `target: ${target[kind]}`, more]
  writeFileSync(join(folder, 's.yaml'), own.join('\n'))
  const outcome = await (isSpawned ? spawnScenario : runScenario)(join(folder, 's.yaml'))
  t.notMatch(outcome.stdout + outcome.stderr, new RegExp(challenge))
  return { ...outcome, server, results: JSON.parse(outcome.stdout) as Results }
}

for (const kind of ['policy', 'scep'] as const) {
  t.test(`a good server: ${kind}`, async (t) => {
    const { exitCode, results } = await against(t, { kind, devices: 2, habit: 'error', share: 0 })
    t.equal(exitCode, 0)
    t.match(results, { outcomes: { installed: 2, failed: 0 }, failuresByCode: {} })
  })

  const rows: [BadHabit, string, RegExp][] = [
    ['error', 'ERR_HTTP_STATUS', /503/],
    ['hang', 'ERR_NETWORK', /no response from 127\.0\.0\.1:\d+ within 500 ms/],
    ['close', 'ERR_NETWORK', /the request to 127\.0\.0\.1:\d+ failed: /],
    ['half', 'ERR_NETWORK', /the request to 127\.0\.0\.1:\d+ failed: /],
    ['drip', 'ERR_NETWORK', /no response from 127\.0\.0\.1:\d+ within 500 ms/],
  ]
  for (const [habit, code, message] of rows) {
    t.test(`a server with the habit "${habit}": ${kind}`, async (t) => {
      const timeout = habit === 'hang' || habit === 'drip' ? impatience : patience
      const { exitCode, stdout, results } = await against(t, { kind, devices: 4, timeout, habit })
      t.equal(exitCode, 1)
      t.match(results, { verdict: 'failed', outcomes: { installed: 0, failed: 4 }, failuresByCode: { [code]: 4 } })
      t.match(stdout, message)
      const step = kind === 'policy' ? 'register' : 'GetCACert'
      t.match(results.errors, [{ code, step, answer: habit === 'error' ? 'HTTP 503' : null, count: 4 }])
    })
  }

  t.test(`a server that answers 10 % errors: ${kind}`, async (t) => {
    const { exitCode, stdout, results, server } = await against(t, { kind, devices: most, habit: 'error', share: 0.1, seed: 'c' })
    t.equal(exitCode, 1)
    t.ok(server.spoilt() > 0 && server.spoilt() < server.requests() / 3, `${server.spoilt()} of ${server.requests()} requests`)
    const { installed, failed } = results.outcomes
    t.ok(installed > 0 && installed <= most, `${installed} certificates`)
    t.ok(failed > 0 && failed <= server.spoilt(), `${failed} failures`)
    t.match(stdout, /503/)
    t.ok(
      results.errors.every(({ answer }) => answer === 'HTTP 503'),
      JSON.stringify(results.errors),
    )
    t.ok(results.errors.reduce((sum, { count }) => sum + count, 0) <= server.spoilt())
  })
}

const allFailed = { outcomes: { installed: 0, failed: 4 }, failuresByCode: { ERR_NETWORK: 4 } }

t.test('a SCEP server behind a good policy service', async (t) => {
  const { exitCode, results } = await against(t, { kind: 'policy', devices: 4, habit: 'close', among: /\/mscep\// })
  t.equal(exitCode, 1)
  t.match(results, allFailed)
})

t.test('faults of the scenario, and a good server', async (t) => {
  const more = 'faults: { lostRequests: 1 }'
  const { exitCode, results, server } = await against(t, { kind: 'scep', devices: 4, habit: 'error', share: 0, more })
  t.equal(exitCode, 1)
  t.match(results, allFailed)
  t.equal(server.requests(), 0)
})

t.test('the process ends by itself', async (t) => {
  for (const habit of ['hang', 'drip', 'half'] as const) {
    const { exitCode } = await against(t, { kind: 'scep', devices: 2, timeout: impatience, habit, isSpawned: true })
    t.equal(exitCode, 1, habit)
  }
})
