import { AgentError } from '@certfleet/agent-core'
import { facts } from '@certfleet/platforms'
import {
  type Check,
  type CheckOnSystem,
  type ConformanceTarget,
  checkSources,
  checks,
  onEachSystem,
  runCheck,
  runChecks,
} from '@certfleet/platforms/conformance'
import t from 'tap'
import { labTarget, sharedKeys } from '#emulator/conformance/index.ts'
import { inCode, unread } from './sabotages.ts'

const all = onEachSystem(checks)

t.test('a check has an id of its own on each platform', async (t) => {
  t.equal(new Set(all.map(({ id, platform }) => `${platform} ${id}`)).size, all.length)
  for (const { id } of checks) t.match(id, /^[a-z]+(\.[a-z0-9]+(-[a-z0-9]+)*)+$/)
})

t.test('every check says what is given and expected, by sources that are explained and facts that there are', async (t) => {
  const ids = new Set(facts.map(({ id }) => id))
  for (const { id, given, expect, source, facts: shown = [] } of checks) {
    t.ok(given !== '' && expect !== '', id)
    for (const one of source.split('; ')) t.ok(Object.hasOwn(checkSources, one.split(' ')[0] ?? ''), `${id}: ${one}`)
    for (const fact of shown) t.ok(ids.has(fact), `${id}: ${fact}`)
  }
})

t.test('a fact is shown on some system by each check that claims it', async (t) => {
  for (const check of checks) {
    const shown = new Set(onEachSystem([check]).flatMap((one) => one.facts))
    for (const fact of check.facts ?? []) t.ok(shown.has(fact), `${check.id}: ${fact}`)
  }
})

t.test('what is in code alone is claimed, and no override is known for it', async (t) => {
  const shown = new Set(all.flatMap((one) => one.facts))
  for (const id of inCode) t.ok(shown.has(id) && !Object.hasOwn(unread, id), id)
})

t.test("Microsoft's matrix: 25 scenarios on five systems, and SHA is not asked of Apple", async (t) => {
  const matrix = all.filter(({ id }) => id.startsWith('matrix.'))
  t.equal(new Set(matrix.map(({ check }) => check.id)).size, 25)
  t.equal(matrix.length, 125)
  const without = matrix.filter(({ notHere }) => notHere !== undefined)
  t.same(new Set(without.map(({ check }) => check.id)), new Set(['matrix.hash.sha1', 'matrix.hash.sha2', 'matrix.hash.sha1-and-sha2']))
  t.same(new Set(without.map(({ platform }) => platform)), new Set(['ios', 'macos']))
})

const keys = sharedKeys('kit')
const lab = labTarget(keys)
const { makeKeys } = keys
const only = (id: string): readonly CheckOnSystem[] => all.filter((one) => one.check.id === id)

t.test('a target that can do less: what it lacks is the reason why a check is skipped', async (t) => {
  const poor: ConformanceTarget = { ...lab, name: 'a poor server', setups: new Set(), abilities: new Set() }
  const results = await runChecks([...only('renewal.threshold'), ...only('validity.requested'), ...only('wire.order')], {
    target: poor,
    makeKeys,
  })
  t.same(
    [...new Set(results.map(({ id, status, reason }) => `${id.split('@')[0]} ${status} ${reason}`))],
    [
      'renewal.threshold skipped a poor server: its clock cannot be moved',
      'validity.requested skipped a poor server: the lifetime of its template cannot be set',
      'wire.order passed ',
    ],
  )
})

t.test('a target that can do nothing but enrol fails no check', async (t) => {
  const bare: ConformanceTarget = {
    name: 'a bare server',
    setups: new Set(),
    abilities: new Set(),
    async open(device, setup) {
      const { scepUrl, transport, clock, root, challengeSource, wrongChallenge, assign, close } = await lab.open(device, setup)
      return { scepUrl, transport, clock, root, challengeSource, wrongChallenge, assign, close }
    },
  }
  const results = await runChecks(
    all.filter(({ platform }) => platform === 'macos'),
    { target: bare, makeKeys },
  )
  t.same(
    results.filter(({ status }) => status === 'failed'),
    [],
  )
  t.ok(results.filter(({ status }) => status === 'passed').length > results.length / 3, 'and passes many')
})

const row = (run: Check['run']): CheckOnSystem => {
  const check: Check = { id: 'test.check', on: ['ios'], given: 'a', expect: 'b', source: 'SEED S1', run }
  return onEachSystem([check])[0] as CheckOnSystem
}

t.test('an error that certfleet foresees fails the check; a bug is none of its results', async (t) => {
  const throwing = (error: Error) =>
    runCheck(
      row(() => Promise.reject(error)),
      { target: lab, makeKeys },
    )
  t.match(await throwing(new AgentError('ERR_NETWORK', 'nobody there')), { status: 'failed', reason: 'ERR_NETWORK: nobody there' })
  await t.rejects(throwing(new TypeError('a bug')), TypeError)
})

t.test('every session is closed, of a check that fails too', async (t) => {
  let open = 0
  const counting: ConformanceTarget = {
    ...lab,
    async open(device, setup) {
      open++
      const session = await lab.open(device, setup)
      return { ...session, close: async () => void open-- }
    },
  }
  const check = row(async (context) => {
    await context.device()
    await context.device()
    throw new AgentError('ERR_NETWORK', 'nobody there')
  })
  t.equal((await runCheck(check, { target: counting, makeKeys })).status, 'failed')
  t.equal(open, 0)
})

t.test('an aborted run ends between two checks', async (t) => {
  const abort = new AbortController()
  const reason = new Error('enough')
  const seen: string[] = []
  const run = runChecks(only('wire.order'), { target: lab, makeKeys, signal: abort.signal }, ({ platform }) => {
    seen.push(platform)
    abort.abort(reason)
  })
  await t.rejects(run, reason)
  t.equal(seen.length, 1)
})
