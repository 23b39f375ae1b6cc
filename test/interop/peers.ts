import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { root } from '../tooling/root.ts'

/** The compiled command: what it runs counts as covered. */
export const certfleet: string = join(root, 'packages/emulator/dist/cli.js')

/**
 * Why these programs cannot be used here, or false: a value for tap's `skip`.
 * With CERTFLEET_INTEROP=required nothing is skipped, and a program that is missing fails its test.
 */
export function missing(programs: readonly string[], debianPackage: string): string | false {
  if (process.env.CERTFLEET_INTEROP === 'required') return false
  const absent = programs.find((program) => spawnSync(program, ['--version']).error !== undefined)
  return absent === undefined ? false : `${absent} is not installed: install Debian package ${debianPackage}`
}

/** Why no process can get a network of its own here, or false. */
export function noNamespaces(): string | false {
  if (process.env.CERTFLEET_INTEROP === 'required') return false
  const tried = spawnSync('unshare', ['-rn', 'ip', 'link', 'set', 'lo', 'up'])
  return tried.status === 0
    ? false
    : 'a server that listens on every address needs a network namespace (unshare -rn, ip), and none can be made here'
}
