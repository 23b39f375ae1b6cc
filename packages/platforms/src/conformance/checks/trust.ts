import { type Check, same } from '../check.ts'
import { enrolled } from '../documents.ts'

/** Trusted profiles: what depends on them, and where their certificates go. */
export const trustChecks: readonly Check[] = [
  {
    id: 'trust.enrolled',
    on: ['ios', 'macos', 'android', 'windows'],
    given: 'a Trusted profile and a SCEP profile that refers to it',
    expect: 'root and certificate are installed after one check-in',
    source: 'SEED S7, S15',
    async run(context) {
      const { device } = await enrolled(context)
      same((await device.stores.list()).length, 1, 'roots on the device')
    },
  },
]
