import { createPublicKey } from 'node:crypto'
import { nullValue } from '@certfleet/agent-core/der'
import { signatureOids } from '#agent-core/pki/algorithms.ts'
import { verifySignature } from '#agent-core/pki/path/signature.ts'
import type { Suite } from '../suite.ts'
import { hex, wycheproofSuite } from './wycheproof.ts'

const algorithm = { oid: signatureOids.rsa.sha256, parameters: nullValue }

export const rsaVerification: Suite = wycheproofSuite('rsa_signature_2048_sha256', (group) => {
  const key = createPublicKey({ key: hex(group.publicKeyDer), format: 'der', type: 'spki' })
  return (test) => () => (verifySignature(key, algorithm, hex(test.msg), hex(test.sig)) ? 'accept' : 'refuse')
})
