import { createHash } from 'node:crypto'
import { isSelfSigned, parseCertificate } from '@certfleet/agent-core/pki'
import { holds, says } from '../../fact.ts'
import type { Os } from '../../os.ts'
import type { Delivery, PfxDelivery, Rendering, RootDelivery, ScepDelivery } from '../../rendering/delivery.ts'
import { payloadFacts } from '../payload-facts.ts'
import { carriesExportable, lostOfPfx, lostOfRoot, lostOfScep, scopeOf } from './lost.ts'
import { profileErrors, refusedAs, shown } from './problem.ts'
import { assertXmlText, type PlistValue, writePropertyList } from './property-list.ts'
import { renderScepContents } from './scep-payload.ts'

type Payload = { [key: string]: PlistValue }

/**
 * A configuration profile for iOS or macOS: roots and other CA certificates, SCEP requests and PFX, a payload each. Identifiers and UUIDs
 * are made from the ids of device and profiles, so that a later rendering replaces the one before. What the payloads have no place for is
 * in `lost`. A key size that the payload does not know: `ERR_UNSUPPORTED`; a certificate that is none, or a text that XML cannot carry:
 * `ERR_PROFILE_INVALID`.
 */
export function renderMobileconfig(delivery: Delivery, os: Os): Rendering {
  const { deviceId, roots, scep, pfx } = delivery
  const scope = scopeOf([...scep, ...pfx], os)
  const profile = {
    PayloadContent: [
      ...roots.map((root) => rootPayload(root, delivery, os)),
      ...scep.map((request) => scepPayload(request, delivery, os)),
      ...pfx.map((request) => pfxPayload(request, delivery, os)),
    ],
    PayloadDisplayName: 'certificates',
    ...common('Configuration', `${ownPrefix}${deviceId}`, delivery),
    ...(holds(payloadFacts.scope, os) && { PayloadScope: says(payloadFacts.scope, os)[scope] }),
  }
  return {
    mediaType: 'application/x-apple-aspen-config',
    extension: '.mobileconfig',
    text: writePropertyList(profile),
    lost: [
      ...roots.flatMap((root) => lostOfRoot(root, os)),
      ...scep.flatMap((request) => lostOfScep(request, scope, os)),
      ...pfx.flatMap((request) => lostOfPfx(request, scope, os)),
    ],
  }
}

/** What stands before an id in the identifiers that are made here. */
export const ownPrefix = 'certfleet.'
export const payloadPrefixes = {
  root: () => `${ownPrefix}root.`,
  scep: ({ principal }: Pick<ScepDelivery, 'principal'>) => `${ownPrefix}scep.${principal}.`,
  pfx: ({ principal }: Pick<PfxDelivery, 'principal'>) => `${ownPrefix}pfx.${principal}.`,
} as const

function rootPayload(root: RootDelivery, delivery: Delivery, os: Os): Payload {
  const { id, displayName, certificate } = root
  const parsed = refusedAs(`payload ${shown(id)}`, profileErrors.malformedCertificate, () => parseCertificate(certificate))
  const types = says(payloadFacts.certificateTypes, os)
  return {
    PayloadContent: certificate,
    PayloadDisplayName: assertXmlText(displayName, `payload ${shown(id)}: PayloadDisplayName`),
    ...common(isSelfSigned(parsed) ? types.root : types.other, `${payloadPrefixes.root()}${id}`, delivery),
  }
}

function scepPayload(scep: ScepDelivery, delivery: Delivery, os: Os): Payload {
  const name = `payload ${shown(scep.id)}`
  const root = delivery.roots.find(({ id }) => id === scep.rootId)
  return {
    PayloadContent: renderScepContents(scep, name, os),
    PayloadDisplayName: assertXmlText(scep.displayName, `${name}: PayloadDisplayName`),
    ...common('com.apple.security.scep', `${payloadPrefixes.scep(scep)}${scep.id}`, delivery),
    ...(root && { [says(payloadFacts.links, os)]: uuidOf(delivery, `${payloadPrefixes.root()}${root.id}`) }),
  }
}

function pfxPayload(request: PfxDelivery, delivery: Delivery, os: Os): Payload {
  const { id, displayName, pfx, password, exportable } = request
  const text = (key: string, value: string) => assertXmlText(value, `payload ${shown(id)}: ${key}`)
  return {
    PayloadContent: pfx,
    Password: text('Password', password),
    PayloadDisplayName: text('PayloadDisplayName', displayName),
    ...(exportable !== undefined && carriesExportable(os) && { KeyIsExtractable: exportable }),
    ...common('com.apple.security.pkcs12', `${payloadPrefixes.pfx(request)}${id}`, delivery),
  }
}

function common(type: string, identifier: string, delivery: Delivery): Payload {
  return {
    PayloadIdentifier: assertXmlText(identifier, `payload ${shown(identifier)}: PayloadIdentifier`),
    PayloadType: type,
    PayloadUUID: uuidOf(delivery, identifier),
    PayloadVersion: 1,
  }
}

/** Of the name, as RFC 9562 5.5 makes them: the same device and profile have the same one again. */
function uuidOf({ deviceId }: Delivery, identifier: string): string {
  const bytes = createHash('sha1')
    .update(JSON.stringify(['certfleet', deviceId, identifier]))
    .digest()
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x50
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
  const hex = bytes.toString('hex').toUpperCase()
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')
}
