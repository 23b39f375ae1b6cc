import type { Identity, Report } from '@certfleet/agent-core'
import t from 'tap'
import type { Sabotage } from '#emulator/simulate/index.ts'
import { simulated, violationsOf } from './world.ts'

/** A fault put into the code for each invariant: one that no fault violates would show nothing. */
const broken: readonly { readonly id: string; readonly what: string; readonly sabotage: () => Sabotage }[] = [
  {
    id: 'I1',
    what: 'keys are never destroyed',
    sabotage: () => ({
      agent: (ports) => ({
        ...ports,
        keyStorageProviders: ports.keyStorageProviders.map((provider) => ({ ...provider, destroy: async () => {} })),
      }),
    }),
  },
  {
    id: 'I2',
    what: 'the old certificate goes before the new one is there',
    sabotage: () => ({
      agent: (ports) => ({
        ...ports,
        identities: {
          ...ports.identities,
          async install(identity) {
            await ports.identities.remove(`${identity.principal}/${identity.profileId}`)
            await ports.identities.install(identity)
          },
        },
      }),
    }),
  },
  {
    id: 'I3',
    what: 'the state forgets that an attempt is under way',
    sabotage: () => ({
      storage: (ports) => ({
        ...ports,
        state: {
          ...ports.state,
          async beginAttempt(key, attempt) {
            await ports.state.endAttempt(key, { clearFailure: false })
            return ports.state.beginAttempt(key, attempt)
          },
          load: async () => ({ ...(await ports.state.load()), attempts: new Map(), pending: new Map() }),
        },
      }),
    }),
  },
  {
    id: 'I4',
    what: 'the CA forgets what it has issued for a transaction',
    sabotage: () => ({
      labStore: (store) => ({
        ...store,
        get: (table, key) => (table === 'transactions' ? undefined : store.get(table, key)),
        transaction: (work) =>
          store.transaction((tx) => work({ ...tx, get: (table, key) => (table === 'transactions' ? undefined : tx.get(table, key)) })),
      }),
    }),
  },
  {
    id: 'I5',
    what: 'an identity enters without a look at its chain',
    sabotage: () => ({
      agent: (ports) => ({
        ...ports,
        identities: {
          ...ports.identities,
          install: (identity: Identity) => ports.identities.install({ ...identity, chain: identity.chain.slice(1) }),
        },
      }),
    }),
  },
  {
    id: 'I6',
    what: 'the last challenge is in the report',
    sabotage: () => {
      let last = ''
      return {
        agent: (ports) => ({
          ...ports,
          challengeSource: {
            async challengeFor(...asked) {
              const challenge = await ports.challengeSource.challengeFor(...asked)
              last = challenge ?? last
              return challenge
            },
          },
          reporter: { send: (report, signal) => ports.reporter.send({ ...report, platform: `windows ${last}` } as Report, signal) },
        }),
      }
    },
  },
  { id: 'I7', what: 'contents are never synced', sabotage: () => ({ disk: (disk) => ({ ...disk, sync: async () => {} }) }) },
  {
    id: 'I8',
    what: 'nothing is installed after the first week',
    sabotage: () => {
      let installs = 0
      return {
        agent: (ports) => ({
          ...ports,
          identities: {
            ...ports.identities,
            install: async (identity) => (installs++ < 4 ? ports.identities.install(identity) : undefined),
          },
        }),
      }
    },
  },
]

for (const { id, what, sabotage } of broken) {
  t.test(`${id} is violated where ${what}`, async (t) => {
    const outcome = await simulated({ seed: `broken ${id}`, devicesEach: 1, days: id === 'I5' ? 3 : 60, sabotage: sabotage() })
    t.ok(violationsOf(outcome, id).length > 0, JSON.stringify(violationsOf(outcome, id)[0] ?? outcome.faults))
  })
}

t.test('I9 is violated where something is drawn that is not of the seed', async (t) => {
  let calls = 0
  const sabotage = (): Sabotage => ({
    agent: (ports) => ({
      ...ports,
      state: {
        ...ports.state,
        recordFailure: (key, failure) => ports.state.recordFailure(key, { ...failure, retryAt: failure.retryAt + calls++ * 1000 }),
      },
    }),
  })
  const { traceDigest } = await simulated({ seed: 'broken I9', devicesEach: 1, days: 60, sabotage: sabotage() })
  t.not((await simulated({ seed: 'broken I9', devicesEach: 1, days: 60, sabotage: sabotage() })).traceDigest, traceDigest)
})
