import type { AgentError, AgentErrorCode, ScepTrust } from '@certfleet/agent-core'
import { fingerprintOf, formatName, serialNumberHex } from '@certfleet/agent-core/pki'
import { whoCanFix } from '../report/advice.ts'
import { overriddenFacts, overriddenLines } from '../report/overridden.ts'
import { printable } from '../report/printable.ts'
import type { FleetPlatform } from '../scenario/schema.ts'
import type { EnrolledPaths } from './enroll-files.ts'
import type { KeyStorageFacts } from './enroll-key.ts'
import type { Enrolled, Rejection } from './enroll-once.ts'
import { shownOfFailure, shownOfIssued, shownOfRejection } from './enroll-os.ts'
import type { FactOptions } from './fact-option.ts'
import type { ExitCode, Io } from './io.ts'
import { tellProblem } from './tell.ts'

interface TellOptions extends FactOptions {
  readonly platform: FleetPlatform
  readonly urls: readonly string[]
  readonly json?: true
}

/** Nobody vouched for the CA, or only by a digest that is weak. */
export function warnOfWeakTrust(anchor: Uint8Array, trust: ScepTrust, io: Io): void {
  const why = weaknessOf(trust)
  if (why === undefined) return
  io.err(`warning: ${why}; compare its SHA-256 fingerprint and give it with --ca-fingerprint:\n  ${fingerprintOf(anchor)}\n`)
}

function weaknessOf(trust: ScepTrust): string | undefined {
  if (trust === 'first-use') return 'the CA is believed on first use'
  if (!('thumbprint' in trust)) return undefined
  return `the CA is pinned by ${trust.thumbprint.length === 32 ? 'MD5' : 'SHA-1'} alone, which is weak`
}

export function tellIssued(
  enrolled: Enrolled,
  storage: KeyStorageFacts | undefined,
  paths: EnrolledPaths,
  options: TellOptions,
  io: Io,
): void {
  const { leaf, chain } = enrolled
  const facts = {
    status: 'issued',
    subject: formatName(leaf.subject),
    issuer: formatName(leaf.issuer),
    serialNumber: serialNumberHex(leaf),
    notBefore: new Date(leaf.notBefore).toISOString(),
    notAfter: new Date(leaf.notAfter).toISOString(),
    fingerprint: fingerprintOf(leaf.raw),
    caFingerprint: fingerprintOf(chain.at(-1) as Uint8Array),
    ...(storage && { keyStorage: storage }),
    ...overriddenFacts(options.fact),
    files: paths,
    os: shownOfIssued(enrolled, options),
  }
  if (options.json) {
    io.out(`${JSON.stringify(facts)}\n`)
    return
  }
  io.out(printable(`issued ${facts.subject} by ${facts.issuer}\nserial number ${facts.serialNumber}, until ${facts.notAfter}\n`))
  if (storage) io.out(printable(keyText(storage)))
  for (const line of overriddenLines(overriddenFacts(options.fact))) io.out(printable(`${line}\n`))
  io.out(`${paths.certificate}\n${paths.chain}\n${paths.key ?? paths.csr}\n`)
}

function keyText({ label, provider, protection, reason, uri }: KeyStorageFacts): string {
  return `key ${label} in the ${provider} (${protection}, ${reason})\n${uri ? `${uri}\n` : ''}`
}

/** RFC 8894 3.2.1.4 names the reasons; what to do about each is experience. */
const adviceByFailInfo: ReadonlyMap<string, string> = new Map([
  ['badAlg', 'the server takes another algorithm: try --key-bits 2048, or --legacy-sha1 for a server of the SHA-1 age'],
  ['badMessageCheck', 'the server could not verify the request: it may know SHA-1 only (--legacy-sha1), or have changed its certificates'],
  ['badRequest', 'usual causes: a challenge that is missing, wrong or used up, or a subject that the CA does not allow'],
  ['badTime', 'set the clock of this machine, or of the server'],
  ['badCertId', 'the server knows no such request or certificate'],
])

export function tellRejection(rejection: Rejection, ended: string, options: TellOptions, io: Io): ExitCode {
  const { failInfo, text } = rejection
  const advice = adviceByFailInfo.get(failInfo)
  const shown = shownOfRejection(rejection, options)
  io.err(
    printable(
      `certfleet: the CA rejected the request: failInfo ${failInfo}${text ? `, "${text}"` : ''}; ${ended}\n${advice ? `  ${advice}\n` : ''}  ${shown.text}\n`,
    ),
  )
  const facts = { status: 'rejected', failInfo, ...(text && { failInfoText: text }), ...(advice && { advice }), os: shown.os }
  if (options.json) io.out(`${JSON.stringify(facts)}\n`)
  return 1
}

export function tellFailure({ code, message }: AgentError, ended: string, options: TellOptions, io: Io): ExitCode {
  const shown = shownOfFailure({ code, message }, options.platform)
  tellProblem({ code, message: `${message}; ${ended}`, advice: adviceOn(code, options) }, options.json === true, io, shown)
  return 1
}

function adviceOn(code: AgentErrorCode, { platform }: TellOptions): string {
  if (code === 'ERR_ALGORITHM_REFUSED')
    return 'repeat with --legacy-des or --legacy-sha1, or as another --platform, as the message says, if the server can speak nothing better'
  if (code === 'ERR_HTTP_STATUS' && platform === 'windows')
    return 'the windows client appends /pkiclient.exe to the URL: try another --platform, or another URL'
  if (code === 'ERR_KEY_SECRET_REFUSED') return 'give the PIN or passphrase that the key storage was made with'
  // Nobody else asks for one: SCEP has challenges.
  if (code === 'ERR_UNAUTHORIZED') return 'give the account by --proxy-user and --proxy-password-file, as the proxy knows it'
  return whoCanFix(code)
}
