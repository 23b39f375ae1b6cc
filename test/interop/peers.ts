import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { serve } from '../tooling/process.ts'
import { root } from '../tooling/root.ts'

/** The compiled command: what it runs counts as covered. */
export const certfleet: string = join(root, 'packages/emulator/dist/cli.js')

/**
 * Why these programs, or files by their path, cannot be used here, or false: a value for tap's `skip`.
 * With CERTFLEET_INTEROP=required nothing is skipped, and what is missing fails its test.
 */
export function missing(programs: readonly string[], debianPackages: string): string | false {
  if (process.env.CERTFLEET_INTEROP === 'required') return false
  const absent = programs.find((program) =>
    program.startsWith('/') ? !existsSync(program) : spawnSync(program, ['--version']).error !== undefined,
  )
  return absent === undefined ? false : `${absent} is not installed: apt-get install ${debianPackages}`
}

/** Why no process can get a network of its own here, or false. */
export function noNamespaces(): string | false {
  if (process.env.CERTFLEET_INTEROP === 'required') return false
  const tried = spawnSync('unshare', ['-rn', 'ip', 'link', 'set', 'lo', 'up'])
  return tried.status === 0
    ? false
    : 'a server that listens on every address needs a network namespace (unshare -rn, ip), and none can be made here'
}

export interface LabAnnouncement {
  readonly scepUrl: string
  readonly policyUrl: string
  /** SHA-256, hex. */
  readonly caFingerprint: string
}

/** `certfleet lab --challenge secret` with these switches, until the test ends. A `state` folder spares the next one its four RSA keys. */
export async function startLab(t: Test, state: string, switches: readonly string[] = []): Promise<LabAnnouncement> {
  const args = ['lab', '--port', '0', '--state', state, '--challenge', 'secret', ...switches]
  const { line } = await serve(t, process.execPath, [certfleet, ...args], /^\{/)
  return JSON.parse(line) as LabAnnouncement
}

/** The certificates of GetCACert as PEM, one after the other. */
export async function caCertificates(scepUrl: string): Promise<string> {
  const response = await fetch(`${scepUrl}?operation=GetCACert`)
  const input = Buffer.from(await response.arrayBuffer())
  const bundle = response.headers.get('content-type') === 'application/x-x509-ca-ra-cert'
  return execFileSync('openssl', bundle ? ['pkcs7', '-inform', 'DER', '-print_certs'] : ['x509', '-inform', 'DER'], {
    input,
    encoding: 'utf8',
  })
}

export function openssl(...args: readonly string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Asserts by openssl that a certificate is for a key and leads to `ca`, PEM files all of them. */
export function isGood(t: Test, { certificate, key, ca }: { certificate: string; key: string; ca: string }): void {
  t.match(openssl('verify', '-partial_chain', '-CAfile', ca, certificate), ': OK')
  t.equal(openssl('x509', '-in', certificate, '-noout', '-pubkey'), openssl('pkey', '-in', key, '-pubout'), 'is for the key')
}

export function serialNumberOf(certificate: string): string {
  return openssl('x509', '-in', certificate, '-noout', '-serial')
}
