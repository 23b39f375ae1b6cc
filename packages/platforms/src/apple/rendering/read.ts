import { isUtf8 } from 'node:buffer'
import type { Principal } from '@certfleet/agent-core'
import { openSignedData } from '@certfleet/agent-core/cms'
import { formatName, parseCertificate } from '@certfleet/agent-core/pki'
import { says } from '../../fact.ts'
import { type Os, parseOs } from '../../os.ts'
import type { PfxDelivery, ReadDelivery, RootDelivery, ScepDelivery } from '../../rendering/delivery.ts'
import { payloadFacts } from '../payload-facts.ts'
import { readCertificateData } from './certificate-data.ts'
import { bytesOf, countOf, dictOf, field, flagOf, isDict, listOf, needed, type Part, textOf, unsupported } from './fields.ts'
import { profileErrors, refuse, refusedAs, shown } from './problem.ts'
import { type PlistValue, readPropertyList } from './property-list.ts'
import { ownPrefix } from './render.ts'
import { readScepContents, scepKeys } from './scep-payload.ts'

interface Payload extends Part {
  readonly type: string
  readonly identifier: string
  readonly uuid: string
}

/**
 * Reads a configuration profile, as XML or signed (CMS): its CA certificates, SCEP requests and PFX. `os` decides where facts may be
 * overridden; default: iOS 18. What the OS would pass over is in `skipped`. What it would refuse, and binary or encrypted profiles, which
 * certfleet does not read: `ERR_PROFILE_INVALID`, with payload, key and the OS's own error. Nothing else is thrown.
 *
 * A signature is verified, but not whose it is: the signer is told in `skipped`.
 */
export function readMobileconfig(profile: Uint8Array | string, os: Os = parseOs('ios', '18')): ReadDelivery {
  const { text, skipped } = unwrap(profile)
  const value = readPropertyList(text)
  if (!isDict(value)) return refuse('profile', 'expected a dictionary', profileErrors.malformed)
  const top: Part = { name: 'profile', values: value }
  assertConfiguration(top)
  const identifier = needed(top, 'PayloadIdentifier', textOf(top, 'PayloadIdentifier'))
  const principal = principalOf(top, os)
  const payloads = readPayloads(top, os)
  const read = payloads.map((payload) => readPayload(payload, principal, payloads, os))
  return {
    ...(identifier.startsWith(ownPrefix) && { deviceId: identifier.slice(ownPrefix.length) }),
    roots: read.flatMap(({ root }) => root ?? []),
    scep: read.flatMap(({ scep }) => scep ?? []),
    pfx: read.flatMap(({ pfx }) => pfx ?? []),
    skipped: [...skipped, ...read.flatMap((one) => one.skipped ?? [])],
  }
}

/** Whether it looks like a profile, readable or not: the form is recognised before it is judged. */
export function isMobileconfig(bytes: Uint8Array): boolean {
  const head = Buffer.from(bytes.subarray(0, 4096)).toString('latin1')
  return bytes[0] === 0x30 || head.startsWith('bplist') || /<plist[\s>]|<!DOCTYPE\s+plist/.test(head.replaceAll('\0', ''))
}

function unwrap(profile: Uint8Array | string): { text: string; skipped: readonly string[] } {
  if (typeof profile === 'string') return { text: profile.replace(/^\ufeff/, ''), skipped: [] }
  if (profile[0] !== 0x30) return { text: textIn(profile), skipped: [] }
  const { content, signer } = refusedAs('profile', profileErrors.badSignature, () => openSignedData(profile, { signers: 'enclosed' }))
  const text = textIn(content ?? refuse('profile', 'the signature is over nothing', profileErrors.badSignature))
  return { text, skipped: [`profile: signed by ${shown(formatName(signer.subject))}, whom nobody vouched for`] }
}

function textIn(bytes: Uint8Array): string {
  if (Buffer.from(bytes.subarray(0, 6)).toString('latin1') === 'bplist') {
    return refuse('profile', 'a binary property list, which is not read; "plutil -convert xml1" makes it XML', profileErrors.malformed)
  }
  if (!isUtf8(bytes)) return refuse('profile', 'it is not in UTF-8', profileErrors.malformed)
  return new TextDecoder().decode(bytes)
}

function assertConfiguration(top: Part): void {
  if (needed(top, 'PayloadType', textOf(top, 'PayloadType')) !== 'Configuration') {
    refuse('profile', 'PayloadType is not Configuration', profileErrors.badType)
  }
  assertVersion(top)
  if (field(top, 'EncryptedPayloadContent') !== undefined) {
    refuse('profile', 'EncryptedPayloadContent is encrypted, which is not read', profileErrors.unsupportedProfile)
  }
}

function assertVersion(part: Part): void {
  if (needed(part, 'PayloadVersion', countOf(part, 'PayloadVersion')) !== 1) unsupported(part, 'PayloadVersion', '1')
}

function principalOf(top: Part, os: Os): Principal {
  const scope = textOf(top, 'PayloadScope')
  const names = says(payloadFacts.scope, os)
  if (scope === undefined || scope === names.device) return 'device'
  if (scope !== names.user) return unsupported(top, 'PayloadScope', `${names.device} or ${names.user}`)
  return 'user'
}

function readPayloads(top: Part, os: Os): readonly Payload[] {
  const payloads = needed(top, 'PayloadContent', listOf(top, 'PayloadContent')).map(readHead)
  for (const [key, error] of Object.entries(says(payloadFacts.notUnique, os))) {
    const seen = new Set<string>()
    for (const payload of payloads) {
      const value = key === 'PayloadUUID' ? payload.uuid : payload.identifier
      if (seen.has(value)) refuse(payload.name, `${key} is that of another payload too`, error)
      seen.add(value)
    }
  }
  return payloads
}

function readHead(values: PlistValue, i: number): Payload {
  if (!isDict(values)) return refuse(`PayloadContent[${i}]`, 'expected a dictionary', profileErrors.badFieldType)
  const part: Part = { name: `PayloadContent[${i}]`, values }
  const identifier = needed(part, 'PayloadIdentifier', textOf(part, 'PayloadIdentifier'))
  const named = { name: `payload ${shown(identifier)}`, values }
  const type = needed(named, 'PayloadType', textOf(named, 'PayloadType'))
  assertVersion(named)
  // UUIDs are compared as such, in any case.
  return { ...named, type, identifier, uuid: needed(named, 'PayloadUUID', textOf(named, 'PayloadUUID')).toUpperCase() }
}

interface Read {
  readonly root?: RootDelivery
  readonly scep?: ScepDelivery
  readonly pfx?: PfxDelivery
  readonly skipped?: readonly string[]
}

function readPayload(payload: Payload, principal: Principal, payloads: readonly Payload[], os: Os): Read {
  const { type } = payload
  if (isCertificate(payload, os)) return { root: readCertificate(payload, os) }
  if (type === 'com.apple.security.scep') return readScep(payload, principal, payloads, os)
  if (type === 'com.apple.security.pkcs12') return readPfx(payload, principal)
  return { skipped: [`${payload.name}: payloads of type ${shown(type)}`] }
}

function isCertificate({ type }: Payload, os: Os): boolean {
  return Object.values<string>(says(payloadFacts.certificateTypes, os)).includes(type)
}

function readCertificate(payload: Payload, os: Os): RootDelivery {
  const content = needed(payload, 'PayloadContent', bytesOf(payload, 'PayloadContent'))
  const certificate = readCertificateData(payload, content, payload.type, os)
  refusedAs(payload.name, profileErrors.malformedCertificate, () => parseCertificate(certificate))
  return { id: idOf(payload), displayName: displayNameOf(payload), certificate }
}

function readScep(payload: Payload, principal: Principal, payloads: readonly Payload[], os: Os): Read {
  const values = needed(payload, 'PayloadContent', dictOf(payload, 'PayloadContent'))
  const misplaced = Object.keys(payload.values).filter((key) => scepKeys.has(key))
  if (misplaced.length > 0 && !says(payloadFacts.misplacedKeys, os)) {
    refuse(payload.name, `${misplaced[0]} outside PayloadContent`, profileErrors.unsupportedValue)
  }
  const { contents, name, skipped } = readScepContents({ name: payload.name, values }, os)
  const link = textOf(payload, says(payloadFacts.links, os))?.toUpperCase()
  const root = payloads.find((candidate) => candidate.uuid === link && isCertificate(candidate, os))
  return {
    // Name goes over the wire, and so does the display name of a delivery.
    scep: { id: idOf(payload), displayName: name ?? displayNameOf(payload), principal, ...contents, ...(root && { rootId: idOf(root) }) },
    skipped: [
      ...misplaced.map((key) => `${payload.name}: ${key}, which is outside PayloadContent`),
      ...(link !== undefined && root === undefined ? [`${payload.name}: the link to a certificate that is not in the profile`] : []),
      ...skipped,
    ],
  }
}

function readPfx(payload: Payload, principal: Principal): Read {
  const pfx = needed(payload, 'PayloadContent', bytesOf(payload, 'PayloadContent'))
  const [password, exportable] = [textOf(payload, 'Password'), flagOf(payload, 'KeyIsExtractable')]
  if (password === undefined) return { skipped: [`${payload.name}: a PFX without its Password, for which the user would be asked`] }
  return {
    pfx: {
      ...{ id: idOf(payload), displayName: displayNameOf(payload), principal, pfx, password },
      ...(exportable !== undefined && { exportable }),
    },
  }
}

/** As it was rendered; of a foreign profile the identifier as it stands. */
function idOf({ identifier }: Payload): string {
  return identifier.replace(/^certfleet\.(root|(scep|pfx)\.(device|user))\./, '')
}

function displayNameOf(payload: Payload): string {
  return textOf(payload, 'PayloadDisplayName') ?? idOf(payload)
}
