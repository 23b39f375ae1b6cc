import { access, constants, lstat, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pem } from '../fleet/pem.ts'
import { InputError } from '../scenario/input-error.ts'
import { createFile } from './new-file.ts'

export interface EnrolledFiles {
  /** PKCS#8, DER. Absent where the key stays in its storage. */
  readonly key?: Uint8Array
  /** Leaf first, root last, DER. */
  readonly chain: readonly Uint8Array[]
  /** DER. */
  readonly csr: Uint8Array
}

/** `key` where the key is written; `csr` where it is not, because nobody else could make one then. */
export type EnrolledPaths = { readonly certificate: string; readonly chain: string } & (
  | { readonly key: string; readonly csr?: never }
  | { readonly csr: string; readonly key?: never }
)

/** Checks, before anything is requested, that the folder can be written and holds no file of these names: `InputError` otherwise. */
export async function prepareFolder(folder: string, keeps: 'key' | 'csr'): Promise<EnrolledPaths> {
  const issued = { certificate: join(folder, 'cert.pem'), chain: join(folder, 'chain.pem') }
  const paths = keeps === 'key' ? { key: join(folder, 'key.pem'), ...issued } : { ...issued, csr: join(folder, 'csr.pem') }
  await mkdir(folder, { recursive: true })
    .then(() => access(folder, constants.W_OK))
    .catch((error: NodeJS.ErrnoException) => {
      throw new InputError(`--out ${folder}: cannot be used (${error.code}); name a folder that can be written`)
    })
  for (const path of Object.values(paths)) {
    if (await lstat(path).catch(() => undefined))
      throw new InputError(`${path} exists and is not overwritten; name another folder with --out, or move the file away`)
  }
  return paths
}

/** Key first, certificate last, each complete or not there; the key with mode 600. A file that appeared meanwhile is not overwritten. */
export async function writeEnrolled(paths: EnrolledPaths, { key, chain, csr }: EnrolledFiles): Promise<void> {
  const [leaf, ...issuers] = chain as [Uint8Array, ...Uint8Array[]]
  if (paths.key !== undefined && key) await createFile(paths.key, pem('PRIVATE KEY', key), 0o600)
  await createFile(paths.chain, issuers.map((issuer) => pem('CERTIFICATE', issuer)).join(''), 0o644)
  if (paths.csr !== undefined) await createFile(paths.csr, pem('CERTIFICATE REQUEST', csr), 0o644)
  await createFile(paths.certificate, pem('CERTIFICATE', leaf), 0o644)
}
