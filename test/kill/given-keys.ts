import { createPrivateKey } from 'node:crypto'
import type { KeyStorageProvider } from '@certfleet/agent-core'

/** The storage, whose new keys, PKCS #8 in base64, are given: they are kept like any others, and making them would take most of the time. */
export function givenKeys(keys: KeyStorageProvider, keyFor: (label: string) => string | undefined): KeyStorageProvider {
  return {
    ...keys,
    async generate(_spec, label) {
      const pkcs8 = keyFor(label)
      if (pkcs8 === undefined || !keys.import) throw new Error('no key is left')
      const key = createPrivateKey({ key: Buffer.from(pkcs8, 'base64'), format: 'der', type: 'pkcs8' })
      return keys.import(key, label, { exportable: false })
    },
  }
}
