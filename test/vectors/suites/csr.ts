import { existsSync } from 'node:fs'
import { extname, join } from 'node:path'
import { parseCsr, verifyCsr } from '@certfleet/agent-core/pki'
import type { Suite, VectorCase, Verdict } from '../suite.ts'
import { pemDer, readVectorFile } from './files.ts'

interface Row {
  readonly file: string
  readonly expected: Verdict
  /** The switch without which it is another verdict. */
  readonly switches?: { readonly allowBadVersion?: boolean; readonly legacySha1?: boolean }
  readonly challenge?: string
  /** It can be read, but its signature is not its own: pyca only changed the version. */
  readonly unsigned?: boolean
}

const rows: readonly Row[] = [
  { file: 'challenge.pem', expected: 'accept', challenge: 'challenge me!' },
  { file: 'rsa_sha256.pem', expected: 'accept' },
  { file: 'san_rsa_sha1.pem', expected: 'refuse' },
  { file: 'san_rsa_sha1.pem', expected: 'accept', switches: { legacySha1: true } },
  { file: 'bad-version.pem', expected: 'refuse', unsigned: true },
  { file: 'bad-version.pem', expected: 'accept', switches: { allowBadVersion: true }, unsigned: true },
  { file: 'bad-version.pem', expected: 'refuse', switches: { allowBadVersion: true } },
  { file: 'challenge-invalid.der', expected: 'refuse' },
  { file: 'challenge-multi-valued.der', expected: 'refuse' },
  { file: 'invalid_signature.pem', expected: 'refuse' },
  { file: 'two_basic_constraints.pem', expected: 'refuse' },
]

/** pyca's certificate requests. */
export const csr: Suite = {
  name: 'csr',
  folder: 'csr',
  load: (dir) => (existsSync(join(dir, 'csr')) ? rows.map((row) => caseOf(join(dir, 'csr', row.file), row)) : undefined),
}

function caseOf(path: string, { file, expected, switches = {}, challenge, unsigned = false }: Row): VectorCase {
  const bytes = readVectorFile(path)
  const der = extname(path) === '.der' ? bytes : pemDer(bytes.toString('latin1'))
  const words = [...Object.keys(switches), ...(unsigned ? ['parse only'] : [])]
  return {
    id: ['csr', file, ...words].join('::'),
    expected,
    run() {
      const request = parseCsr(der, switches)
      if (!unsigned) verifyCsr(request, switches)
      return request.challenge === challenge ? 'accept' : 'refuse'
    },
  }
}
