import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ClientIdentity } from '@certfleet/agent-core'
import type { Test } from 'tap'

export interface TestCa {
  /** DER. */
  readonly anchor: Uint8Array
  readonly anchorPem: string
  readonly server: { readonly cert: string; readonly key: string }
  readonly client: ClientIdentity
}

/** A CA with a certificate for the server 127.0.0.1 and one for a client, made by openssl. */
export function makeCa(t: Test, name: string): TestCa {
  const folder = t.testdir()
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  openssl('req', '-x509', ...newKey, '-subj', `/CN=${name}`, '-keyout', 'ca.key', '-out', 'ca.pem')
  const issue = (file: string, extension: string) =>
    openssl(
      'req',
      '-x509',
      ...newKey,
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-subj',
      `/CN=${file}`,
      '-addext',
      'basicConstraints=critical,CA:FALSE',
      '-addext',
      extension,
      '-keyout',
      `${file}.key`,
      '-out',
      `${file}.pem`,
    )
  issue('server', 'subjectAltName=IP:127.0.0.1')
  issue('client', 'extendedKeyUsage=clientAuth')
  const read = (file: string) => readFileSync(join(folder, file), 'utf8')
  const der = (file: string) => new Uint8Array(new X509Certificate(read(file)).raw)
  return {
    anchor: der('ca.pem'),
    anchorPem: read('ca.pem'),
    server: { cert: read('server.pem'), key: read('server.key') },
    client: { chain: [der('client.pem')], privateKey: createPrivateKey(read('client.key')) },
  }
}
