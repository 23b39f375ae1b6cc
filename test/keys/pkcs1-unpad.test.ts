import { createPrivateKey } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type KeyHandle, softwareKeyHandle } from '@certfleet/agent-core'
import t from 'tap'

interface VectorFile {
  readonly testGroups: readonly {
    readonly privateKeyPem: string
    readonly tests: readonly {
      readonly tcId: number
      readonly comment: string
      readonly msg: string
      readonly ct: string
      readonly result: string
    }[]
  }[]
}

const folder = join(process.env.CERTFLEET_VECTORS ?? join('..', 'shared', 'vectors'), 'wycheproof')

for (const file of ['rsa_pkcs1_2048_test.json', 'rsa_pkcs1_3072_test.json']) {
  const path = join(folder, file)
  t.test(`Wycheproof ${file}`, { skip: existsSync(path) ? false : 'CERTFLEET_VECTORS names no folder with it' }, async (t) => {
    const { testGroups } = JSON.parse(readFileSync(path, 'utf8')) as VectorFile
    for (const { privateKeyPem, tests } of testGroups) {
      const unwrapKey = softwareKeyHandle(createPrivateKey(privateKeyPem), 'wycheproof').unwrapKey as NonNullable<KeyHandle['unwrapKey']>
      for (const { tcId, comment, msg, ct, result } of tests) {
        const lengthBytes = msg.length / 2
        const unwrapped = await unwrapKey(Buffer.from(ct, 'hex'), { padding: 'pkcs1', lengthBytes: lengthBytes || 24 })
        t.equal(unwrapped.length, lengthBytes || 24, `${tcId} ${comment}: the length that was asked for`)
        if (lengthBytes > 0) t.equal(Buffer.from(unwrapped).toString('hex') === msg, result === 'valid', `${tcId} ${comment}: ${result}`)
      }
    }
  })
}
