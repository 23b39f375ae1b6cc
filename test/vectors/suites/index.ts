import { basename } from 'node:path'
import type { Suite } from '../suite.ts'
import { betterTlsPath } from './bettertls-path.ts'
import { csr } from './csr.ts'
import { readLimboFile } from './limbo-format.ts'
import { nistPkits } from './nist-pkits.ts'
import { pkcs7 } from './pkcs7.ts'
import { pkcs12 } from './pkcs12.ts'
import { scepFlips, scepMessages } from './scep-messages.ts'
import { aesCbc } from './wycheproof-aes-cbc.ts'
import { rsaDecryption } from './wycheproof-rsa-decrypt.ts'
import { rsaVerification } from './wycheproof-rsa-verify.ts'
import { limboApplicable, limboCore } from './x509-limbo.ts'

/** Every suite that `npm run vectors -- DIR` scores, one file each. */
export const suites: readonly Suite[] = [
  limboCore,
  limboApplicable,
  nistPkits,
  betterTlsPath,
  ...rsaDecryption,
  rsaVerification,
  aesCbc,
  scepMessages,
  scepFlips,
  csr,
  pkcs7,
  pkcs12,
]

/** Any single file in the limbo format; `load` takes the file in place of the folder. */
export function limboFileSuite(file: string): Suite {
  return { name: basename(file), folder: '', load: (path) => readLimboFile(path, Date.now()).map(({ vector }) => vector) }
}
