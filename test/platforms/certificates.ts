import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A CA's certificates and keys, made by openssl in a folder of the test's own. DER. */
export interface TestCa {
  /** RSA-2048, self-signed, may sign and decipher. */
  readonly root: Uint8Array
  /** P-256, signed by the root. */
  readonly intermediate: Uint8Array
}

const caExtensions = `basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyEncipherment, keyCertSign, cRLSign
`

export function testCa(folder: string): TestCa {
  const at = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  writeFileSync(at('ca.ext'), caExtensions)
  openssl('req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', at('root.key'), '-subj', '/CN=Test Root', '-out', at('root.csr'))
  openssl(
    'x509',
    '-req',
    '-in',
    at('root.csr'),
    '-signkey',
    at('root.key'),
    '-extfile',
    at('ca.ext'),
    '-days',
    '30',
    '-out',
    at('root.pem'),
  )
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
  openssl('req', '-new', ...curve, '-nodes', '-keyout', at('sub.key'), '-subj', '/CN=Test Issuing CA', '-out', at('sub.csr'))
  const issuer = ['-CA', at('root.pem'), '-CAkey', at('root.key'), '-CAcreateserial']
  openssl('x509', '-req', '-in', at('sub.csr'), ...issuer, '-extfile', at('ca.ext'), '-days', '30', '-out', at('sub.pem'))
  return { root: der(readFileSync(at('root.pem'), 'utf8')), intermediate: der(readFileSync(at('sub.pem'), 'utf8')) }
}

function der(pem: string): Uint8Array {
  return Buffer.from(pem.replace(/-----[A-Z ]+-----/g, ''), 'base64')
}
