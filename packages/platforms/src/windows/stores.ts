import { createHash } from 'node:crypto'
import type { StoreName } from '@certfleet/agent-core'
import { type Fact, says } from '../fact.ts'
import type { Os } from '../os.ts'

export const storeFacts = {
  paths: {
    id: 'windows.store.paths',
    platforms: ['windows'],
    effect: "A root goes to the device's Root node, an intermediate to the CA node of the device or user; the hex is upper-case.",
    value: {
      'computer-root': './Device/Vendor/MSFT/RootCATrustedCertificates/Root/{sha1}/EncodedCertificate',
      'computer-intermediate': './Device/Vendor/MSFT/RootCATrustedCertificates/CA/{sha1}/EncodedCertificate',
      'user-intermediate': './User/Vendor/MSFT/RootCATrustedCertificates/CA/{sha1}/EncodedCertificate',
    },
    source: 'W-ROOT Root, CA; SEED S20',
    confidence: 'V',
  },
  selfSignedRoots: {
    id: 'windows.store.root-self-signed',
    platforms: ['windows'],
    effect: 'The store of roots takes self-signed certificates only, and no certificate of a client.',
    value: 'self-signed',
    source: 'W-CS ROOT; W-ROOT Root',
    confidence: 'V',
  },
} as const satisfies Record<string, Fact>

/** The node of the configuration service provider that a Trusted profile's certificate is written to. */
export function windowsStorePath(store: StoreName, certificate: Uint8Array, os: Os): string {
  const sha1 = createHash('sha1').update(certificate).digest('hex').toUpperCase()
  return says(storeFacts.paths, os)[store].replace('{sha1}', sha1)
}
