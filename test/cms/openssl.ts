import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pem, type TestIdentity } from './identities.ts'

/** Runs openssl in `folder` and returns what it writes; its messages go nowhere. Throws when it fails. */
export function openssl(folder: string, args: readonly string[], input: Uint8Array = new Uint8Array()): Buffer {
  return execFileSync('openssl', args, { cwd: folder, input, stdio: ['pipe', 'pipe', 'pipe'] })
}

/** Puts `<name>.pem` and `<name>.key` there. */
export function writeIdentity(folder: string, name: string, { certificate, keyPem }: TestIdentity): void {
  writeFileSync(join(folder, `${name}.pem`), pem(certificate))
  writeFileSync(join(folder, `${name}.key`), keyPem)
}
