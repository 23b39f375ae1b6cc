import type { HashName, KeySpec, ScepTrust, SubjectAltName } from '@certfleet/agent-core'
import { PurposeOid } from '@certfleet/agent-core/pki'
import { behaviourOf, type ScepDelivery, treatmentOf } from '@certfleet/platforms'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import type { FleetPlatform } from '../scenario/schema.ts'
import { type FileRequest, type FromOptions, requestIn } from './enroll-from.ts'
import { type ChallengeOptions, challengeFrom, judgedAs, readRoot, subjectOption, urlOption } from './enroll-input.ts'
import type { EnrollmentWish } from './enroll-once.ts'
import { osOf } from './enroll-os.ts'
import type { Io } from './io.ts'

export interface SettingOptions extends ChallengeOptions, FromOptions {
  readonly url?: string
  readonly subject?: string
  readonly san?: readonly SubjectAltName[]
  readonly keyBits?: number
  readonly keyCurve?: 'P-256' | 'P-384'
  readonly caFingerprint?: string
  readonly root?: string
}

/** What is asked for, and of whom. */
export type EnrollSettings = { readonly keySpec: KeySpec } & Pick<
  EnrollmentWish,
  | 'urls'
  | 'displayName'
  | 'platform'
  | 'subject'
  | 'subjectAltNames'
  | 'keyUsages'
  | 'extendedKeyUsages'
  | 'hash'
  | 'retries'
  | 'challenge'
  | 'trust'
>

const defaultPlatform = 'ios'
const defaultKeyBits = 2048

/** From the options, then the file that `--from` names, then the platform. What neither names and has to be there: `InputError`. */
export async function settingsOf(options: SettingOptions, io: Io): Promise<EnrollSettings> {
  const trust = await trustOf(options)
  const file = await requestIn(options, io)
  const scep = file?.scep
  const platform = options.platform ?? file?.platform ?? defaultPlatform
  const challenge = (await challengeFrom(options)) ?? scep?.challenge ?? (io.env.CERTFLEET_CHALLENGE || undefined)
  const hash = scep && hashOf(scep, platform)
  const urls = options.url === undefined ? urlsIn(scep, options) : [options.url]
  if (scep) tellPlainHttp(urls, platform, io)
  return {
    urls,
    displayName: scep?.displayName ?? 'certfleet',
    platform,
    subject: options.subject ?? subjectIn(scep, options),
    subjectAltNames: options.san ?? scep?.subjectAltNames ?? [],
    extendedKeyUsages: scep?.extendedKeyUsages ?? [PurposeOid.ClientAuth],
    keySpec: keySpecOf(options, scep, platform, io),
    trust: trust ?? trustIn(file),
    ...(challenge !== undefined && { challenge }),
    ...(scep?.keyUsages && { keyUsages: scep.keyUsages }),
    ...(scep?.retries && { retries: scep.retries }),
    ...(hash && { hash }),
  }
}

function urlsIn(scep: ScepDelivery | undefined, { from }: SettingOptions): readonly string[] {
  if (scep === undefined) throw new InputError('no SCEP URL; give it with --url, or a file that names it with --from')
  return scep.urls.map((url) => judgedAs(urlOption, url, `--from ${from}: URL`))
}

/** A CA on the same machine has no TLS. */
function tellPlainHttp(urls: readonly string[], platform: FleetPlatform, io: Io): void {
  const isRefused = !behaviourOf(platform, osOf(platform).version).allowsHttp && urls.some((url) => /^http:/i.test(url))
  if (isRefused) io.err(`${platform} itself would ask over https alone; here it is asked over http\n`)
}

function subjectIn(scep: ScepDelivery | undefined, { from }: SettingOptions): string {
  if (scep === undefined) throw new InputError('no subject; give it with --subject, or a file that names it with --from')
  if (scep.subject === '') throw new InputError(`--from ${from}: names no subject; give one with --subject`)
  return judgedAs(subjectOption, scep.subject, `--from ${from}: subject`)
}

async function trustOf({ root, caFingerprint: fingerprint }: SettingOptions): Promise<ScepTrust | undefined> {
  if (root !== undefined && fingerprint !== undefined) throw new InputError('--root and --ca-fingerprint were both given; expected one')
  if (root !== undefined) return { root: await readRoot(root) }
  return fingerprint === undefined ? undefined : { fingerprint }
}

/** A whole certificate is better than a thumbprint, a thumbprint better than nothing. */
function trustIn(file: FileRequest | undefined): ScepTrust {
  if (file?.root) return { root: file.root }
  const thumbprint = file?.scep.rootThumbprint
  return thumbprint === undefined ? 'first-use' : { thumbprint }
}

/** Where a file leaves the size to the OS, it is the OS's, and told: it may be small. */
function keySpecOf(options: SettingOptions, scep: ScepDelivery | undefined, platform: FleetPlatform, io: Io): KeySpec {
  const { keyCurve, keyBits, from } = options
  if (keyCurve) return { algorithm: 'ec', curve: keyCurve }
  const named = keyBits ?? (scep ? scep.keyBits : defaultKeyBits)
  if (named !== undefined) return { algorithm: 'rsa', bits: named }
  const bits = behaviourOf(platform, osOf(platform).version).defaultKeyBits ?? defaultKeyBits
  io.err(printable(`${from}: names no key size, so that the key has ${bits} bits as on ${platform}; --key-bits chooses another\n`))
  return { algorithm: 'rsa', bits }
}

/** The first that is not SHA-1, on an OS that does as its policy says. */
function hashOf({ hashes = [] }: ScepDelivery, platform: FleetPlatform): Exclude<HashName, 'sha1'> | undefined {
  if (treatmentOf('hash', osOf(platform)) !== 'honoured') return undefined
  return hashes.find((hash) => hash !== 'sha1')
}
