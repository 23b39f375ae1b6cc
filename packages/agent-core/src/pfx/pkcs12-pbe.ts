import { createCipheriv, createDecipheriv } from 'node:crypto'
import { integer, malformed, octetString, oid, readChildren, sequence } from '../der/index.ts'
import type { AlgorithmIdentifier } from '../pki/certificate.ts'
import type { Encrypted, PasswordCipher, ReadingRules } from './encryption.ts'
import { needsLegacy, refusedAlgorithm } from './failures.ts'
import { readIterations, readSalt } from './limits.ts'
import type { PasswordOctets } from './password.ts'
import { sequenceIn } from './pbkdf2.ts'
import { derivePkcs12, outputBlocks, Pkcs12Purpose } from './pkcs12-kdf.ts'
import { decryptRc2Cbc } from './rc2.ts'

interface Scheme {
  readonly name: string
  readonly keyBytes: number
  decrypt(key: Uint8Array, iv: Uint8Array, encrypted: Uint8Array): Buffer
}

const tripleDesOid = '1.2.840.113549.1.12.1.3'
const blockBytes = 8

/** RFC 7292 appendix C, without RC4. */
const schemes: Readonly<Record<string, Scheme>> = {
  [tripleDesOid]: { name: 'pbeWithSHAAnd3-KeyTripleDES-CBC', keyBytes: 24, decrypt: byRuntime('des-ede3-cbc') },
  '1.2.840.113549.1.12.1.4': { name: 'pbeWithSHAAnd2-KeyTripleDES-CBC', keyBytes: 16, decrypt: byRuntime('des-ede-cbc') },
  '1.2.840.113549.1.12.1.5': { name: 'pbeWithSHAAnd128BitRC2-CBC', keyBytes: 16, decrypt: byRc2 },
  '1.2.840.113549.1.12.1.6': { name: 'pbeWithSHAAnd40BitRC2-CBC', keyBytes: 5, decrypt: byRc2 },
}

function byRuntime(cipher: string): Scheme['decrypt'] {
  return (key, iv, encrypted) => createDecipheriv(cipher, key, iv).setAutoPadding(false).update(encrypted)
}

function byRc2(key: Uint8Array, iv: Uint8Array, encrypted: Uint8Array): Buffer {
  return decryptRc2Cbc(key, key.length * 8, iv, encrypted)
}

interface PbeParameters {
  readonly salt: Uint8Array
  readonly iterations: number
}

/** The schemes of RFC 7292 appendix C, all of them by the switch only. */
export function readPkcs12Pbe({ oid: dotted, parameters }: AlgorithmIdentifier, what: string, rules: ReadingRules): PasswordCipher {
  const scheme = schemes[dotted] ?? refusedAlgorithm(what, `encryption ${dotted}`)
  if (!rules.legacy) needsLegacy(what, scheme.name)
  const [salt, count, ...more] = readChildren(sequenceIn(parameters, 'PBE parameters'), 'PBE parameters')
  if (more.length > 0) malformed('PBE parameters', 'values behind the iterations')
  const pbe = { salt: readSalt(salt), iterations: readIterations(count) }
  rules.budget.spend('pkcs12Iterations', pbe.iterations * (outputBlocks('sha1', scheme.keyBytes) + outputBlocks('sha1', blockBytes)))
  return {
    blockBytes,
    decrypt: (encrypted, password) => withKey(pbe, scheme.keyBytes, password, (key, iv) => scheme.decrypt(key, iv, encrypted)),
  }
}

async function withKey<T>(
  pbe: PbeParameters,
  keyBytes: number,
  { bmp }: PasswordOctets,
  use: (key: Uint8Array, iv: Uint8Array) => T,
): Promise<T> {
  const derivation = { hash: 'sha1', password: bmp, ...pbe } as const
  const key = await derivePkcs12({ ...derivation, purpose: Pkcs12Purpose.Key, lengthBytes: keyBytes })
  const iv = await derivePkcs12({ ...derivation, purpose: Pkcs12Purpose.Iv, lengthBytes: blockBytes })
  try {
    return use(key, iv)
  } finally {
    key.fill(0)
    iv.fill(0)
  }
}

/** Three-key 3DES: what systems read that know no PBES2. */
export function writePkcs12Pbe(plain: Uint8Array, password: PasswordOctets, pbe: PbeParameters): Promise<Encrypted> {
  return withKey(pbe, 24, password, (key, iv) => {
    const cipher = createCipheriv('des-ede3-cbc', key, iv)
    const algorithm = sequence(oid(tripleDesOid), sequence(octetString(pbe.salt), integer(pbe.iterations)))
    return { algorithm, encrypted: Buffer.concat([cipher.update(plain), cipher.final()]) }
  })
}
