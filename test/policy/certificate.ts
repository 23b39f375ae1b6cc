import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'

/** A self-signed CA certificate, DER, made by openssl. */
export function makeRoot(t: Test, subject: string): Uint8Array {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', join(t.testdir(), 'root.key')]
  return new Uint8Array(
    execFileSync('openssl', ['req', '-x509', ...key, '-subj', subject, '-days', '2', '-outform', 'DER'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  )
}
