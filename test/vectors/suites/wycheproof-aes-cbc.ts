import { generateKeyPairSync } from 'node:crypto'
import { type KeyHandle, softwareKeyHandle } from '@certfleet/agent-core'
import type { Suite, Verdict } from '../suite.ts'
import { isOneError, openParts } from './envelope.ts'
import { hex, type WycheproofTest, wycheproofSuite } from './wycheproof.ts'

/** The content encryption of an envelope whose key transport gives the vector's key. */
export const aesCbc: Suite = wycheproofSuite('aes_cbc_pkcs5', () => (test) => () => decrypts(test))

async function decrypts(test: WycheproofTest): Promise<Verdict> {
  const contentKey = hex(test.key)
  const parts = { wrappedKey: new Uint8Array(), keyBytes: contentKey.length, iv: hex(test.iv), encrypted: hex(test.ct) }
  try {
    return hex(test.msg).equals(await openParts(parts, transporting(contentKey))) ? 'accept' : 'refuse'
  } catch (error) {
    if (isOneError(error)) return 'refuse'
    throw new Error(`another error than the others: ${error}`)
  }
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const handle = softwareKeyHandle(privateKey, 'vector')

function transporting(contentKey: Uint8Array): KeyHandle {
  return { ...handle, unwrapKey: async () => contentKey }
}
