import { createHash } from 'node:crypto'
import { AgentError } from '@certfleet/agent-core'
import { says } from '../fact.ts'
import type { Os } from '../os.ts'
import type { Delivery, LostSetting, PfxDelivery, Rendering, RootDelivery, ScepDelivery } from '../rendering/delivery.ts'
import { type NodeCommand, syncMlExtension, syncMlMediaType, writeSyncMlMessage } from '../rendering/syncml.ts'
import { base64Of } from '../rendering/values.ts'
import { isXmlText } from '../rendering/xml.ts'
import { requestDocument } from './request-document.ts'
import { readRequestDocument } from './request-settings.ts'
import { androidSyncMlFacts } from './syncml-facts.ts'

/** A delivery as one SyncML message for the agent on Android: roots, then SCEP requests. What it would not understand: `ERR_PROFILE_INVALID`. */
export function renderForAndroid(delivery: Delivery, os: Os): Rendering {
  const { roots, scep, pfx } = delivery
  refuseRepeated(roots, os)
  refuseRepeated(scep, os)
  const commands = [...roots.map((root) => rootCommand(root, os)), ...scep.map((request) => scepCommand(request, roots, os))]
  const lost = [...roots.flatMap(lostOfRoot), ...scep.flatMap((request) => lostOfScep(request, os)), ...pfx.map(lostPfx)]
  return { mediaType: syncMlMediaType, extension: syncMlExtension, text: writeSyncMlMessage(delivery.deviceId, commands), lost }
}

function rootCommand({ id, certificate }: RootDelivery, os: Os): NodeCommand {
  const path = `${says(androidSyncMlFacts.root, os)}/${encodeURIComponent(id)}/EncodedCertificate`
  return { verb: 'Add', path, format: 'b64', type: 'text/plain', data: base64Of(certificate) }
}

function scepCommand(scep: ScepDelivery, roots: readonly RootDelivery[], os: Os): NodeCommand {
  const root = roots.find(({ id }) => id === scep.rootId)
  const data = requestDocument(scep, root, os)
  readRequestDocument(data, os, scep.id)
  const hash = createHash('sha1').update(data).digest().readInt32BE()
  const name = says(androidSyncMlFacts.nodeName, os)
    .replace('{hash}', String(hash))
    .replace('{id}', () => scep.id)
  const path = `${says(androidSyncMlFacts.enroll, os)}/${encodeURIComponent(name).replaceAll('%3D', '=')}/Install`
  return { verb: 'Add', path, format: 'xml', type: 'text/plain', data }
}

function lostOfRoot({ id, destinationStore }: RootDelivery): LostSetting[] {
  const reason = `a root is its node alone (${androidSyncMlFacts.root.id})`
  return [{ id, setting: 'displayName', reason }, ...(destinationStore === undefined ? [] : [{ id, setting: 'destinationStore', reason }])]
}

function lostOfScep({ id, principal, subjectAltNames, hashes = [], retries }: ScepDelivery, os: Os): LostSetting[] {
  const { enroll, hashNames, retryDelay, sanTypes } = androidSyncMlFacts
  const lost = (setting: keyof ScepDelivery, reason: string): LostSetting => ({ id, setting, reason })
  const named = Object.values(says(hashNames, os))
  return [
    lost('displayName', `there is no place for it (${enroll.id})`),
    ...(principal === 'user' ? [lost('principal', `requests are the device's (${enroll.id})`)] : []),
    ...(hashes.some((hash) => !named.includes(hash)) ? [lost('hashes', `families are named, not sizes (${hashNames.id})`)] : []),
    ...(subjectAltNames.some(({ value }) => value.trim() === '')
      ? [lost('subjectAltNames', `a name without text asks for nothing (${sanTypes.id})`)]
      : []),
    ...(Number.isInteger((retries?.delayMs ?? 0) / says(retryDelay, os)) ? [] : [lost('retries', `whole minutes only (${retryDelay.id})`)]),
  ]
}

function lostPfx({ id }: PfxDelivery): LostSetting {
  return { id, setting: 'pfx', reason: `there is no form for it (${androidSyncMlFacts.noPfx.id})` }
}

function refuseRepeated(named: readonly { readonly id: string }[], os: Os): void {
  const { existing } = androidSyncMlFacts
  const refuse = (id: string, problem: string): never => {
    throw new AgentError('ERR_PROFILE_INVALID', `the id ${JSON.stringify(id)} ${problem}`)
  }
  const seen = new Set<string>()
  for (const { id } of named) {
    if (id === '' || !isXmlText(id)) refuse(id, 'cannot name a node')
    if (seen.has(id)) refuse(id, `is there twice, which is refused (status ${says(existing, os)}) (${existing.id})`)
    seen.add(id)
  }
}
