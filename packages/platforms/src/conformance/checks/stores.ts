import type { StoreName } from '@certfleet/agent-core'
import { type Check, same } from '../check.ts'
import { assigned, policyWith, rootProfile, statusOf } from '../documents.ts'

const storeNames: readonly StoreName[] = ['computer-root', 'computer-intermediate', 'user-intermediate']

/** Where the certificates of Trusted profiles go. */
export const storeChecks: readonly Check[] = [
  ...storeNames.map(
    (store): Check => ({
      id: `stores.${store}`,
      on: ['windows', 'windows-8.1'],
      given: `a Trusted profile with the destination ${store}`,
      expect: 'its certificate is in that store and in no other',
      source: 'SEED S20; W-ROOT',
      facts: store === 'computer-root' ? [] : ['destination-store.honoured'],
      async run(context) {
        const device = await assigned(context, { root: { destinationStore: store } })
        await device.checkIn()
        same(
          (await device.stores.list()).map((root) => root.store),
          [store],
          'stores with a certificate',
        )
      },
    }),
  ),
  ...storeNames.map(
    (store): Check => ({
      id: `stores.${store}.ignored`,
      on: ['ios', 'macos', 'android', 'windows-phone-8.1'],
      given: `a Trusted profile with the destination ${store}, for a system with one store`,
      expect: 'the destination has no effect and raises no error',
      source: 'SEED S21',
      facts: store === 'computer-root' ? [] : ['destination-store.ignored'],
      async run(context) {
        const device = await assigned(context, { root: { destinationStore: store } })
        same(statusOf(await device.checkIn()).state, 'installed', 'the SCEP profile')
        same(
          (await device.stores.list()).map((root) => root.store),
          ['computer-root'],
          'stores with a certificate',
        )
      },
    }),
  ),
  {
    id: 'stores.user-root',
    on: ['windows', 'windows-8.1'],
    given: 'a Trusted profile with the destination user-root',
    expect: 'there is no such store: the profile fails, and nothing is installed',
    source: 'W-ROOT ./User Root; SEED S20',
    facts: ['windows.csp.no-user-root'],
    async run(context) {
      const device = await context.device()
      // What no type lets through can still come over the wire.
      const root = { ...rootProfile(device.session), destinationStore: 'user-root' as StoreName }
      await device.assign(policyWith({ trustedRoots: [root] }))
      same(statusOf(await device.checkIn(), 'root').code, 'ERR_PROFILE_INVALID', 'the profile fails with')
      same((await device.stores.list()).length, 0, 'certificates installed')
    },
  },
]
