import { AgentError, type AgentErrorCode, type SubjectAltName } from '@certfleet/agent-core'
import { fingerprintOf, formatName, serialNumberHex } from '@certfleet/agent-core/pki'
import { type Command, Option } from 'commander'
import { whoCanFix } from '../report/advice.ts'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import { fleetPlatforms } from '../scenario/schema.ts'
import { type EnrolledPaths, prepareFolder, writeEnrolled } from './enroll-files.ts'
import {
  type ChallengeOptions,
  challengeOf,
  fingerprintOption,
  keyBitsOption,
  readRoot,
  sanOption,
  subjectOption,
  urlOption,
} from './enroll-input.ts'
import { type Enrolled, enrollOnce, type Rejection } from './enroll-once.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { type LegacyOptions, wholeNumber, withLegacy } from './options.ts'
import { tellProblem } from './tell.ts'

interface EnrollOptions extends LegacyOptions, ChallengeOptions {
  readonly url: string
  readonly subject: string
  readonly san?: readonly SubjectAltName[]
  readonly keyBits: number
  readonly keyCurve?: 'P-256' | 'P-384'
  readonly platform: (typeof fleetPlatforms)[number]
  readonly caFingerprint?: string
  readonly root?: string
  readonly timeout: number
  readonly out: string
  readonly json?: true
}

const examples = `
Examples:
  $ CERTFLEET_CHALLENGE=secret certfleet enroll --url http://127.0.0.1:2016/scep \\
      --subject 'CN=laptop-1,O=Example' --san dns:laptop-1.example.com --out laptop-1
  $ certfleet enroll --url https://ndes.example.com/certsrv/mscep/mscep.dll --challenge-file challenge.txt \\
      --subject 'CN=laptop-1' --root corporate-root.pem --platform ios --out laptop-1

The challenge is better given by file or CERTFLEET_CHALLENGE: options show in the process list.
Without --ca-fingerprint or --root the first answer is believed, and the CA's fingerprint is told: compare it.`

export function defineEnroll(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const command = program
    .command('enroll')
    .description('Obtain one certificate from any SCEP server: a key made here, cert.pem, chain.pem and key.pem (mode 600) in a folder')
    .requiredOption('--url <url>', 'the SCEP URL, without operation and message', urlOption)
    .requiredOption('--subject <dn>', "distinguished name, such as 'CN=laptop-1,O=Example'", subjectOption)
    .option('--san <type:value>', 'subject alternative name, email, upn, dns or uri; may be repeated', sanOption)
    .option('--challenge <text>', 'challenge password')
    .option('--challenge-file <file>', 'file whose first line is the challenge password')
    .option('--key-bits <n>', 'RSA key size', keyBitsOption, 2048)
    .addOption(
      new Option('--key-curve <name>', 'an EC key instead; a throwaway RSA key then carries the exchange, which not every server takes')
        .choices(['P-256', 'P-384'])
        .conflicts('keyBits'),
    )
    .addOption(
      new Option('--platform <name>', 'whose SCEP client to act like; windows appends /pkiclient.exe to the URL')
        .choices(fleetPlatforms)
        .default('ios'),
    )
    .option('--ca-fingerprint <sha256>', 'SHA-256 of one of the CA certificates that the server shows', fingerprintOption)
    .option('--root <file>', 'the root certificate that the CA leads to, PEM or DER')
    .option('--timeout <seconds>', 'gives up after so long, polls of a pending request included', wholeNumber(1, 604_800), 300)
    .requiredOption('--out <dir>', 'folder for the files; existing ones are never overwritten')
    .option('--json', 'print one JSON document on stdout')
    .addHelpText('after', examples)
  withLegacy(command, 'read a reply encrypted with single DES', 'accept SHA-1 from a server that offers nothing better').action(
    async (options: EnrollOptions) => end(await enroll(options, io)),
  )
}

async function enroll(options: EnrollOptions, io: Io): Promise<ExitCode> {
  if (options.root !== undefined && options.caFingerprint !== undefined)
    throw new InputError('--root and --ca-fingerprint were both given; expected one')
  const root = options.root === undefined ? undefined : await readRoot(options.root)
  const challenge = await challengeOf(options, io)
  const paths = await prepareFolder(options.out)
  const interrupt = interruptSignal(io)
  try {
    const { caFingerprint: fingerprint, keyCurve, keyBits } = options
    const trust = root ? { root } : fingerprint ? { fingerprint } : 'first-use'
    const outcome = await enrollOnce({
      ...options,
      ...(challenge !== undefined && { challenge }),
      subjectAltNames: options.san ?? [],
      keySpec: keyCurve ? { algorithm: 'ec', curve: keyCurve } : { algorithm: 'rsa', bits: keyBits },
      trust,
      timeoutMs: options.timeout * 1000,
      clock: io.clock,
      signal: interrupt.signal,
      onAnchor: (anchor) => warnOfFirstUse(anchor, trust, io),
      onPending: (delayMs) => io.err(`the CA has not decided; asking again in ${Math.round(delayMs / 1000)} s\n`),
    })
    if ('failInfo' in outcome) return tellRejection(outcome, options, io)
    await writeEnrolled(paths, outcome)
    tellIssued(outcome, paths, options, io)
    return 0
  } catch (error) {
    if (error instanceof AgentError) return tellFailure(error, options, io)
    if (error !== interrupt.signal.reason) throw error
    tellProblem({ code: 'INTERRUPTED', message: 'interrupted; nothing was written' }, options.json === true, io)
    return 130
  } finally {
    interrupt.release()
  }
}

function warnOfFirstUse(anchor: Uint8Array, trust: unknown, io: Io): void {
  if (trust !== 'first-use') return
  io.err(
    `warning: the CA is believed on first use; compare its SHA-256 fingerprint and give it with --ca-fingerprint:\n  ${fingerprintOf(anchor)}\n`,
  )
}

function tellIssued({ leaf, chain }: Enrolled, paths: EnrolledPaths, { json }: EnrollOptions, io: Io): void {
  const facts = {
    status: 'issued',
    subject: formatName(leaf.subject),
    issuer: formatName(leaf.issuer),
    serialNumber: serialNumberHex(leaf),
    notBefore: new Date(leaf.notBefore).toISOString(),
    notAfter: new Date(leaf.notAfter).toISOString(),
    fingerprint: fingerprintOf(leaf.raw),
    caFingerprint: fingerprintOf(chain.at(-1) as Uint8Array),
    files: paths,
  }
  if (json) {
    io.out(`${JSON.stringify(facts)}\n`)
    return
  }
  io.out(printable(`issued ${facts.subject} by ${facts.issuer}\nserial number ${facts.serialNumber}, until ${facts.notAfter}\n`))
  io.out(`${paths.certificate}\n${paths.chain}\n${paths.key}\n`)
}

/** RFC 8894 3.2.1.4 names the reasons; what to do about each is experience. */
const adviceByFailInfo: ReadonlyMap<string, string> = new Map([
  ['badAlg', 'the server takes another algorithm: try --key-bits 2048, or --legacy-sha1 for a server of the SHA-1 age'],
  ['badMessageCheck', 'the server could not verify the request: it may know SHA-1 only (--legacy-sha1), or have changed its certificates'],
  ['badRequest', 'usual causes: a challenge that is missing, wrong or used up, or a subject that the CA does not allow'],
  ['badTime', 'set the clock of this machine, or of the server'],
  ['badCertId', 'the server knows no such request or certificate'],
])

function tellRejection({ failInfo, text }: Rejection, { json }: EnrollOptions, io: Io): ExitCode {
  const advice = adviceByFailInfo.get(failInfo)
  io.err(
    printable(
      `certfleet: the CA rejected the request: failInfo ${failInfo}${text ? `, "${text}"` : ''}; nothing was written\n${advice ? `  ${advice}\n` : ''}`,
    ),
  )
  if (json) io.out(`${JSON.stringify({ status: 'rejected', failInfo, ...(text && { failInfoText: text }), ...(advice && { advice }) })}\n`)
  return 1
}

function tellFailure({ code, message }: AgentError, options: EnrollOptions, io: Io): ExitCode {
  tellProblem({ code, message: `${message}; nothing was written`, advice: adviceOn(code, options) }, options.json === true, io)
  return 1
}

function adviceOn(code: AgentErrorCode, { platform }: EnrollOptions): string {
  if (code === 'ERR_ALGORITHM_REFUSED')
    return 'repeat with --legacy-des or --legacy-sha1, as the message says, if the server can speak nothing better'
  if (code === 'ERR_HTTP_STATUS' && platform === 'windows')
    return 'the windows client appends /pkiclient.exe to the URL: try another --platform, or another URL'
  return whoCanFix(code)
}
