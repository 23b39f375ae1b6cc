import { isIP } from 'node:net'
import { AgentError, httpTransport, type ScepTrust, type Transport } from '@certfleet/agent-core'
import { fingerprintOf } from '@certfleet/agent-core/pki'
import { type PlatformName, platformNames } from '@certfleet/platforms'
import {
  type ChallengeSupply,
  type Footprint,
  runServerChecks,
  type ServerCheck,
  type ServerTarget,
  serverConformanceChecks,
} from '@certfleet/platforms/conformance'
import type { Command } from 'commander'
import { mscepAdminChallenges, writtenChallenges } from '../conformance/index.ts'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import { witnessCa } from './ca-witness.ts'
import { type ReportOptions, reported, tellChecks } from './conformance-report.ts'
import { fingerprintOption, readRoot, urlOption } from './enroll-input.ts'
import { warnOfWeakTrust } from './enroll-tell.ts'
import type { ExitCode, Io } from './io.ts'
import { wholeNumber, withLegacy } from './options.ts'
import { readInput } from './read-input.ts'
import { secretIn } from './secret-input.ts'

export interface TargetOptions extends ReportOptions {
  readonly platform?: readonly PlatformName[]
  readonly check?: readonly string[]
  readonly seed?: unknown
  readonly list?: true
  readonly target?: string
  readonly challenge?: string
  readonly challengeFile?: string
  readonly mscepAdmin?: string
  readonly mscepAdminUser?: string
  readonly mscepAdminPasswordFile?: string
  readonly root?: string
  readonly caFingerprint?: string
  readonly parallel?: number
  readonly legacyDes: boolean
  readonly legacySha1: boolean
}

/** What has no effect on the lab. */
const forTarget = {
  challenge: '--challenge',
  challengeFile: '--challenge-file',
  mscepAdmin: '--mscep-admin',
  mscepAdminUser: '--mscep-admin-user',
  mscepAdminPasswordFile: '--mscep-admin-password-file',
  root: '--root',
  caFingerprint: '--ca-fingerprint',
  parallel: '--parallel',
} as const satisfies Partial<Record<keyof TargetOptions, string>>

const maxChallengeFileBytes = 1_048_576

export function withTarget(command: Command): Command {
  command
    .option('--target <url>', 'judge this SCEP server instead of proving the adapters on the lab; http on loopback alone', urlOption)
    .option('--challenge <text>', 'a challenge that it takes (default: CERTFLEET_CHALLENGE; none skips what needs one)')
    .option('--challenge-file <file>', 'challenges, one a line; several are each used once, one alone again and again')
    .option('--mscep-admin <url>', 'page of NDES that shows a one-time challenge at each visit, by HTTP Basic')
    .option('--mscep-admin-user <name>', 'account there')
    .option('--mscep-admin-password-file <file>', 'file whose first line is its password (default: CERTFLEET_MSCEP_ADMIN_PASSWORD)')
    .option('--root <file>', 'the root certificate that its CA leads to, PEM or DER')
    .option('--ca-fingerprint <sha256>', 'SHA-256 of one of the CA certificates that it shows', fingerprintOption)
    .option('--parallel <n>', 'requests at once when serial numbers are compared (default: 16)', wholeNumber(2, 256))
  return withLegacy(command, 'with --target: a device would read replies in single DES', 'with --target: a device would accept SHA-1')
}

/** The lab has no use for them. */
export function assertNoTargetOptions(options: TargetOptions): void {
  const named = (Object.keys(forTarget) as (keyof typeof forTarget)[]).find((name) => options[name] !== undefined)
  const flag = named ? forTarget[named] : options.legacyDes ? '--legacy-des' : options.legacySha1 ? '--legacy-sha1' : undefined
  if (flag !== undefined) throw new InputError(`${flag} is for somebody's server; name it with --target`)
}

/** Judges the server of `--target` as each platform would meet it. One that does not answer: `ERR_NETWORK`. */
export async function judgeServer(options: TargetOptions, signal: AbortSignal, io: Io): Promise<ExitCode> {
  const url = loopbackOrTls('--target', options.target as string)
  if (options.seed !== undefined) throw new InputError('--seed decides the keys of the lab; those that go to a server are not to be told')
  const platforms = options.platform ?? platformNames
  const chosen = chosenChecks(options, platforms)
  if (options.list) return tellChecks(rowsOf(chosen, platforms), options.json === true, io)
  const transport = httpTransport({ clock: io.clock, allowLoopback: true, allowLinkLocal: true })
  try {
    const target = await described(url, options, transport, signal, io)
    return await judged(chosen, platforms, target, options, signal, io)
  } finally {
    await transport.close()
  }
}

async function judged(
  chosen: readonly ServerCheck[],
  platforms: readonly PlatformName[],
  target: ServerTarget,
  options: TargetOptions,
  signal: AbortSignal,
  io: Io,
): Promise<ExitCode> {
  const issued: Footprint[] = []
  const onIssued = (certificate: Footprint) => void issued.push(certificate)
  try {
    const run = { target: { ...target, onIssued }, platforms, signal }
    return await reported(rowsOf(chosen, platforms).length, options, io, (onResult) => runServerChecks(chosen, run, onResult))
  } finally {
    io.err(printable(footprint(issued)))
  }
}

async function described(url: string, options: TargetOptions, transport: Transport, signal: AbortSignal, io: Io): Promise<ServerTarget> {
  const { parallel, legacyDes, legacySha1 } = options
  return {
    url,
    transport,
    clock: io.clock,
    challenges: await challengesOf(options, transport, io),
    trust: await pinned(url, await trustOf(options), transport, signal, io),
    legacyDes,
    legacySha1,
    ...(parallel !== undefined && { parallel }),
    onPending: (delayMs) => io.err(`the CA has not decided; asking again in ${Math.round(delayMs / 1000)} s\n`),
  }
}

/** Told however the run ends: certificates are not unmade. */
function footprint(issued: readonly Footprint[]): string {
  const names = issued.map(({ serialNumber, subject }) => `  ${serialNumber}  ${subject}\n`)
  const count = issued.length === 1 ? '1 certificate was' : `${issued.length} certificates were`
  return `${count} issued by this run${issued.length === 0 ? '' : '; revoke what must not stay'}\n${names.join('')}`
}

/** Asks once, because a server that is not there is no finding. What is believed unseen is told, and nothing else is believed afterwards. */
async function pinned(url: string, trust: ScepTrust, transport: Transport, signal: AbortSignal, io: Io): Promise<ScepTrust> {
  const witness = witnessCa(transport, trust, (anchor) => warnOfWeakTrust(anchor, trust, io))
  const ask = (operation: string) => witness.transport.send({ method: 'GET', url: `${url}?operation=${operation}`, headers: {} }, signal)
  await ask('GetCACaps')
  if (trust !== 'first-use') return trust
  await ask('GetCACert').catch(unreadable)
  const anchor = witness.anchor()
  return anchor ? { fingerprint: fingerprintOf(anchor) } : trust
}

/** Checks will say so. */
function unreadable(error: unknown): void {
  if (!(error instanceof AgentError)) throw error
}

async function trustOf({ root, caFingerprint: fingerprint }: TargetOptions): Promise<ScepTrust> {
  if (root !== undefined && fingerprint !== undefined) throw new InputError('--root and --ca-fingerprint were both given; expected one')
  if (root !== undefined) return { root: await readRoot(root) }
  return fingerprint === undefined ? 'first-use' : { fingerprint }
}

async function challengesOf(options: TargetOptions, transport: Transport, io: Io): Promise<ChallengeSupply | undefined> {
  const { challenge, challengeFile, mscepAdmin } = options
  const given = (['challenge', 'challengeFile', 'mscepAdmin'] as const).filter((name) => options[name] !== undefined)
  if (given.length > 1) throw new InputError(`${given.map((name) => forTarget[name]).join(' and ')} were both given; expected one`)
  if (mscepAdmin !== undefined) return adminChallenges(mscepAdmin, options, transport, io)
  if (options.mscepAdminUser !== undefined) throw new InputError('--mscep-admin-user is for a page of NDES; name it with --mscep-admin')
  if (challenge === '') throw new InputError('--challenge is empty; give the challenge, or leave the option out')
  if (challengeFile !== undefined) return writtenChallenges(await linesOf(challengeFile))
  const one = challenge ?? (io.env.CERTFLEET_CHALLENGE || undefined)
  return one === undefined ? undefined : writtenChallenges([one])
}

async function adminChallenges(url: string, options: TargetOptions, transport: Transport, io: Io): Promise<ChallengeSupply> {
  const { mscepAdminUser: user, mscepAdminPasswordFile: file } = options
  const page = loopbackOrTls('--mscep-admin', urlOption(url))
  if (user === undefined) throw new InputError('--mscep-admin wants an account; name it with --mscep-admin-user')
  const source = { option: '--mscep-admin-password-file', io }
  const password = file === undefined ? io.env.CERTFLEET_MSCEP_ADMIN_PASSWORD : await secretIn(file, source, "the account's password")
  if (!password)
    throw new InputError('no password for mscep_admin: set CERTFLEET_MSCEP_ADMIN_PASSWORD or name a file with --mscep-admin-password-file')
  return mscepAdminChallenges({ url: page, user, password, transport })
}

async function linesOf(file: string): Promise<readonly string[]> {
  const text = (await readInput('--challenge-file', file, maxChallengeFileBytes)).toString('utf8')
  const lines = text.split(/\r?\n/).filter((line) => line !== '')
  if (lines.length === 0) throw new InputError(`--challenge-file ${file}: it is empty; expected challenges, one a line`)
  return lines
}

/** A challenge, a password or a weak message of this run is not for everybody on the way. */
function loopbackOrTls(option: string, text: string): string {
  const { protocol, hostname } = new URL(text)
  const address = hostname.replace(/^\[|\]$/g, '')
  const isLoopback = address === 'localhost' || address === '::1' || (isIP(address) === 4 && address.startsWith('127.'))
  if (protocol === 'https:' || isLoopback) return text
  throw new InputError(`${option}: plain http is for loopback alone; give an https URL`)
}

function chosenChecks({ check }: TargetOptions, platforms: readonly PlatformName[]): readonly ServerCheck[] {
  const all = serverConformanceChecks.filter(({ on }) => on.some((platform) => platforms.includes(platform)))
  const unknown = check?.find((id) => !all.some((one) => one.id === id))
  if (unknown !== undefined)
    throw new InputError(`--check ${unknown}: there is no such check of a server; "certfleet conformance --target URL --list" tells all`)
  return check ? all.filter(({ id }) => check.includes(id)) : all
}

function rowsOf(chosen: readonly ServerCheck[], platforms: readonly PlatformName[]) {
  return platforms.flatMap((platform) =>
    chosen
      .filter(({ on }) => (on as readonly string[]).includes(platform))
      .map(({ id, given, expect, source }) => ({ id, platform, given, expect, source })),
  )
}
