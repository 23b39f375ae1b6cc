import {
  AgentError,
  type AgentOptions,
  createAgent,
  type DevicePolicy,
  memoryIdentities,
  memoryState,
  memoryStores,
  type PlatformAdapter,
} from '@certfleet/agent-core'
import t from 'tap'
import { FakeClock } from './fakes/clock.ts'
import { simple } from './plan/samples.ts'

const hour = 3_600_000
const nothing: DevicePolicy = { revision: 1, trustedRoots: [], scepProfiles: [], pfxProfiles: [], failedProfiles: [] }

const platform = (): PlatformAdapter => ({
  name: 'test',
  keyStorageProviders: [],
  certificateStores: memoryStores(),
  identities: memoryIdentities(),
  pendingSchedule: { polls: 3, firstDelayMs: 0, delayMs: 10_000 },
  storeFor: (root) => root.destinationStore,
  requestFor: (profile) => profile.request,
  pfxRules: { reads: 'modern' },
  pfxRequestFor: (profile) => profile.request,
  ignoredSettings: () => [],
  protocolFor: () => {
    throw new Error('nothing enrols here')
  },
  isLocked: async () => false,
  lifecycle: simple,
})

function setUp(options: Partial<AgentOptions> = {}) {
  const clock = new FakeClock()
  let fetches = 0
  const agent = createAgent({
    clock,
    jitter: { between: (_minMs, maxMs) => maxMs },
    platform: platform(),
    policySource: {
      async fetch() {
        fetches++
        return nothing
      },
    },
    challengeSource: { challengeFor: async () => undefined },
    state: memoryState(),
    reporter: { send: async () => {} },
    ...options,
  })
  return { agent, clock, fetches: () => fetches }
}

t.test('a started agent checks in at once and at every interval', async (t) => {
  const { agent, clock, fetches } = setUp({ checkInIntervalMs: hour })
  agent.start()
  await clock.advance(0)
  t.equal(fetches(), 1)
  await clock.advance(hour - 1)
  t.equal(fetches(), 1, 'not a millisecond early')
  await clock.advance(1)
  t.equal(fetches(), 2)
  await agent.stop()
  await clock.advance(10 * hour)
  t.equal(fetches(), 2, 'a stopped agent does nothing')
})

t.test('an agent that is stopped as its pass ends stops', async (t) => {
  const { agent, clock, fetches } = setUp({ checkInIntervalMs: hour })
  const stopped = new Promise<void>((resolve, reject) => {
    agent.on('pass', () => void agent.stop().then(resolve, reject))
  })
  agent.start()
  await stopped
  await clock.advance(10 * hour)
  t.equal(fetches(), 1)
})

t.test('a wake-up fetches at once', async (t) => {
  let wake = () => {}
  let closed = 0
  const { agent, clock, fetches } = setUp({
    connectPush: (onWake) => {
      wake = onWake
      return {
        close: async () => {
          closed++
        },
      }
    },
  })
  agent.start()
  await clock.advance(0)
  wake()
  await clock.advance(0)
  t.equal(fetches(), 2)
  await agent.stop()
  t.equal(closed, 1, 'stopping closes the channel')
})

t.test('a pass that fails is tried again with a growing delay, and told', async (t) => {
  let fetches = 0
  const errors: string[] = []
  const { agent, clock } = setUp({
    policySource: {
      async fetch() {
        fetches++
        throw new AgentError('ERR_NETWORK', 'policy service not reached')
      },
    },
  })
  agent.on('error', ({ code }) => errors.push(code))
  agent.start()
  await clock.advance(0)
  await clock.advance(59_999)
  t.equal(fetches, 1)
  await clock.advance(1)
  t.equal(fetches, 2)
  await clock.advance(119_999)
  t.equal(fetches, 2)
  await clock.advance(1)
  t.equal(fetches, 3)
  await agent.stop()
  t.same(errors, ['ERR_NETWORK', 'ERR_NETWORK', 'ERR_NETWORK'])
})

t.test('a service that asks to be left alone is, longer than the check-in interval and not for ever', async (t) => {
  let fetches = 0
  const { agent, clock } = setUp({
    checkInIntervalMs: hour,
    policySource: {
      async fetch() {
        fetches++
        throw new AgentError('ERR_HTTP_STATUS', 'the policy service answered 503', { retryAfterMs: 5 * hour })
      },
    },
  })
  agent.start()
  await clock.advance(0)
  await clock.advance(5 * hour - 1)
  t.equal(fetches, 1)
  await clock.advance(30_001)
  t.equal(fetches, 2)
  await agent.stop()
})

t.test('passes never overlap', async (t) => {
  let under = 0
  let most = 0
  const { agent } = setUp({
    policySource: {
      async fetch() {
        most = Math.max(most, ++under)
        await new Promise(setImmediate)
        under--
        return nothing
      },
    },
  })
  await Promise.all([agent.runOnce(), agent.runOnce(), agent.runOnce()])
  t.equal(most, 1)
})

t.test('a bug is not an error of the device: the call rejects with it', async (t) => {
  const { agent } = setUp({
    policySource: {
      fetch: async () => {
        throw new TypeError('bug')
      },
    },
  })
  await t.rejects(agent.runOnce(), TypeError)
})

t.test('a report that cannot be delivered is told; the pass is done', async (t) => {
  const { agent } = setUp({
    reporter: {
      send: async () => {
        throw new AgentError('ERR_NETWORK', 'report inbox not reached')
      },
    },
  })
  await t.rejects(agent.runOnce(), { code: 'ERR_NETWORK' })
})

t.test('listeners hear passes until they leave', async (t) => {
  const { agent } = setUp()
  const revisions: number[] = []
  const leave = agent.on('pass', ({ report }) => revisions.push(report.revision))
  await agent.runOnce()
  leave()
  await agent.runOnce()
  t.same(revisions, [1])
})
