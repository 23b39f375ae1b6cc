import { generateKeyPairSync } from 'node:crypto'
import type { DevicePolicy, Identity, Report } from '@certfleet/agent-core'
import t from 'tap'
import type { Sabotage } from '#emulator/simulate/index.ts'
import { type Simulated, simulated, violationsOf } from './world.ts'

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

/** The same of what PFX, departures and roots add, without other faults: what must be found, and nothing else. */
const brokenParts: readonly {
  readonly id: string
  readonly what: string
  readonly found: RegExp
  readonly options: Pick<Simulated, 'events' | 'pfx'>
  readonly sabotage: () => Sabotage
}[] = [
  {
    id: 'I2',
    what: 'a lost licence is taken for a retirement',
    found: /^the certificate of .* was removed, which its OS leaves$/,
    options: { events: [{ kind: 'unlicense', day: 2 }] },
    sabotage: () => ({ agent: withPolicy((policy) => ({ ...policy, ...(policy.lifecycle && { lifecycle: 'wiped' }) })) }),
  },
  {
    id: 'I2',
    what: 'the old root goes before the new one is in use',
    found: /^the root of the certificate for .* was removed while that is in use$/,
    options: { events: [{ kind: 'replace-root', day: 2, days: 2 }] },
    sabotage: () => ({
      agent: withPolicy((policy) => (policy.trustedRoots.length > 1 ? { ...policy, trustedRoots: policy.trustedRoots.slice(1) } : policy)),
    }),
  },
  {
    id: 'I5',
    what: 'another key is imported than was delivered',
    found: /^a key was imported that the service did not make$/,
    options: { pfx: ['pkcs'] },
    sabotage: () => ({
      agent: (ports) => ({
        ...ports,
        keyStorageProviders: ports.keyStorageProviders.map((provider) => {
          const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
          return {
            ...provider,
            import: async (_, ...rest) => (provider.import as NonNullable<typeof provider.import>)(privateKey, ...rest),
          }
        }),
      }),
    }),
  },
  {
    id: 'I6',
    what: 'the password of a PFX is in the report',
    found: /^a secret is in a report$/,
    options: { pfx: ['imported'] },
    sabotage: () => {
      let last = ''
      return {
        agent: (ports) => ({
          ...ports,
          pfxSource: {
            async pfxFor(...asked) {
              const delivered = await (ports.pfxSource as NonNullable<typeof ports.pfxSource>).pfxFor(...asked)
              last = delivered.password
              return delivered
            },
          },
          reporter: { send: (report, signal) => ports.reporter.send({ ...report, platform: `windows ${last}` } as Report, signal) },
        }),
      }
    },
  },
  {
    id: 'I8',
    what: 'nobody hears that a device is retired',
    found: /^the certificate of .* is left though the device is retired$/,
    options: { events: [{ kind: 'retire', day: 2 }] },
    sabotage: () => {
      let first: DevicePolicy | undefined
      const forever = withPolicy((policy) => {
        first ??= policy
        return first
      })
      return { agent: forever }
    },
  },
  {
    id: 'I8',
    what: 'nobody may revoke',
    found: /^a certificate of .* is not revoked though the device is wiped$/,
    options: { events: [{ kind: 'wipe', day: 2 }] },
    sabotage: () => ({
      labStore: (store) => ({
        ...store,
        get(table, key) {
          const record = store.get(table, key)
          if (table === 'transactions' && record) Object.assign(record, { account: 'nobody' })
          return record
        },
      }),
    }),
  },
]

function withPolicy(read: (policy: DevicePolicy) => DevicePolicy): NonNullable<Sabotage['agent']> {
  return (ports) => ({ ...ports, policySource: { fetch: async (signal) => read(await ports.policySource.fetch(signal)) } })
}

for (const { id, what, found, options, sabotage } of brokenParts) {
  t.test(`${id} is violated where ${what}`, async (t) => {
    const seed = `broken ${what}`
    const calm = { faults: false, platforms: ['windows'], devicesEach: 1, days: 6, pfx: [], ...options } as const
    const outcome = await simulated({ seed, ...calm, sabotage: sabotage() })
    t.match(violationsOf(outcome, id)[0]?.found, found)
    t.equal(violationsOf(await simulated({ seed, ...calm }), id).length, 0, 'and not without')
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
