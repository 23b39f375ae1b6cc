import { AgentError } from '@certfleet/agent-core'
import { isSelfSigned, parseCertificate } from '@certfleet/agent-core/pki'
import { isPinned } from '@certfleet/agent-core/scep/messages'
import { type FactOverrides, type ReadDelivery, readDeliveryFile, type ScepDelivery } from '@certfleet/platforms'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import type { FleetPlatform } from '../scenario/schema.ts'
import { osOf } from './enroll-os.ts'
import type { Io } from './io.ts'
import { readInput } from './read-input.ts'

/** One SCEP request of a file in some OS's own form. */
export interface FileRequest {
  readonly platform: FleetPlatform
  readonly scep: ScepDelivery
  /** The root that the file vouches with, DER; absent where it has none. */
  readonly root?: Uint8Array
}

export interface FromOptions {
  readonly from?: string
  /** Id of the request, where the file has several. */
  readonly profile?: string
  readonly platform?: FleetPlatform
  readonly ksp?: string
  readonly fact?: FactOverrides
}

const maxFileBytes = 8 * 1024 * 1024

/**
 * What the file asks for; undefined where none was named. What its OS would pass over is told on stderr. A file that its OS would refuse,
 * that is for another platform, or that has no SCEP request of that id: `InputError`.
 */
export async function requestIn(options: FromOptions, io: Io): Promise<FileRequest | undefined> {
  const { from: file, profile, platform, fact } = options
  if (file === undefined && profile !== undefined)
    throw new InputError('--profile is for a file with several requests; name one with --from')
  if (file === undefined) return undefined
  const where = `--from ${file}`
  const { delivery, platforms } = readForm(await readInput('--from', file, maxFileBytes), platform, fact, where)
  if (platform !== undefined && !platforms.includes(platform)) {
    throw new InputError(`--platform ${platform}: ${file} is in the form of ${platforms.join(' and ')}`)
  }
  const tell = (lines: readonly string[]) => lines.map((line) => io.err(printable(`${file}: passed over: ${line}\n`)))
  tell(delivery.skipped)
  const scep = chosen(delivery.scep, profile, where)
  tell([
    ...unheeded(scep, options),
    ...delivery.pfx.map(({ id }) => `PFX "${id}": key and certificate come with it, nothing is to be enrolled`),
  ])
  const root = rootFor(scep, delivery)
  return { platform: platform ?? (platforms[0] as FleetPlatform), scep, ...(root && { root }) }
}

/** What one request over SCEP does not do, though the file says it. */
function unheeded({ keyStorage, validity, hashes = [] }: ScepDelivery, { ksp }: FromOptions): string[] {
  const isStored = keyStorage !== undefined && keyStorage !== 'useSoftwareKsp' && ksp === undefined
  return [
    ...(isStored ? [`key storage ${keyStorage}: --ksp chooses one`] : []),
    ...(validity ? [`validity of ${validity.value} ${validity.scale}: SCEP has no place for it, the CA decides`] : []),
    ...(hashes.length > 0 && hashes.every((hash) => hash === 'sha1') ? ['hash sha1: the strongest that the CA offers is used'] : []),
  ]
}

function readForm(
  bytes: Uint8Array,
  platform: FleetPlatform | undefined,
  overrides: FactOverrides | undefined,
  where: string,
): ReturnType<typeof readDeliveryFile> {
  try {
    return readDeliveryFile(bytes, platform && osOf(platform, overrides), overrides)
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    throw new InputError(`${where}: ${error.message}`, { cause: error })
  }
}

function chosen(requests: readonly ScepDelivery[], profile: string | undefined, where: string): ScepDelivery {
  const ids = requests.map(({ id }) => `"${id}"`).join(', ')
  if (requests.length === 0) throw new InputError(`${where}: has no SCEP request`)
  const [request, ...more] = profile === undefined ? requests : requests.filter(({ id }) => id === profile)
  if (request === undefined) throw new InputError(`--profile ${profile}: ${where} has ${ids}`)
  if (more.length > 0) throw new InputError(`${where}: has several SCEP requests; choose with --profile one of ${ids}`)
  return request
}

/** By its thumbprint, or by its link, or the only root that there is. A thumbprint without its root stays what is pinned. */
function rootFor({ rootThumbprint: thumbprint, rootId }: ScepDelivery, { roots }: ReadDelivery): Uint8Array | undefined {
  if (thumbprint !== undefined) return roots.find(({ certificate }) => isPinned(certificate, { thumbprint }))?.certificate
  if (rootId !== undefined) return roots.find(({ id }) => id === rootId)?.certificate
  const selfSigned = roots.filter(({ certificate }) => isSelfSigned(parseCertificate(certificate)))
  return selfSigned.length === 1 ? selfSigned[0]?.certificate : undefined
}
