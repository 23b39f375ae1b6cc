import { AgentError, type KeyStorageOption, type Principal } from '@certfleet/agent-core'
import { says } from '../fact.ts'
import type { Os } from '../os.ts'
import type { Delivery, LostSetting, PfxDelivery, Rendering, RootDelivery, ScepDelivery } from '../rendering/delivery.ts'
import { type NodeCommand, syncMlExtension, syncMlMediaType, writeSyncMlMessage } from '../rendering/syncml.ts'
import { base64Of } from '../rendering/values.ts'
import { isXmlText } from '../rendering/xml.ts'
import { cspFacts } from './csp-facts.ts'
import { windowsFacts } from './facts.ts'
import { refuseNode } from './refuse.ts'
import { lostOfScep, scepNodes } from './scep-nodes.ts'
import { windowsStorePath } from './stores.ts'

/**
 * A delivery as one SyncML message: roots, then each SCEP request and each PFX as an Atomic. What the CSPs would refuse:
 * `ERR_PROFILE_INVALID`, and `ERR_UNSUPPORTED` where the key could not be made.
 */
export function renderForWindows(delivery: Delivery, os: Os): Rendering {
  const roots = firstOfEach(delivery.roots, os)
  refuseRepeated('SCEP', delivery.scep, os)
  refuseRepeated('PFXCertInstall', delivery.pfx, os)
  const batches = [
    ...[...roots.values()].map((root) => rootCommand(root, os)),
    ...delivery.scep.map((scep) => scepCommands(scep, delivery, os)),
    ...delivery.pfx.map((pfx) => pfxCommands(pfx, os)),
  ]
  const lost = [
    ...delivery.roots.flatMap((root) => lostOfRoot(root, roots, os)),
    ...delivery.scep.flatMap((scep) => lostOfScep(scep, os)),
    ...delivery.pfx.map(({ id }) => ({ id, setting: 'displayName', reason: `there is no node for it (${cspFacts.pfxNodes.id})` })),
  ]
  return { mediaType: syncMlMediaType, extension: syncMlExtension, text: writeSyncMlMessage(delivery.deviceId, batches), lost }
}

const scopes: Readonly<Record<Principal, string>> = { device: './Device/Vendor/MSFT', user: './User/Vendor/MSFT' }

function rootPath({ certificate, destinationStore = 'computer-root' }: RootDelivery, os: Os): string {
  return windowsStorePath(destinationStore, certificate, os)
}

function firstOfEach(roots: readonly RootDelivery[], os: Os): ReadonlyMap<string, RootDelivery> {
  const firsts = new Map<string, RootDelivery>()
  for (const root of roots) if (!firsts.has(rootPath(root, os))) firsts.set(rootPath(root, os), root)
  return firsts
}

function rootCommand(root: RootDelivery, os: Os): NodeCommand {
  return { verb: 'Add', path: rootPath(root, os), format: 'b64', data: base64Of(root.certificate) }
}

function lostOfRoot(root: RootDelivery, roots: ReadonlyMap<string, RootDelivery>, os: Os): LostSetting[] {
  const lost = (setting: keyof RootDelivery, reason: string): LostSetting => ({
    id: root.id,
    setting,
    reason: `${reason} (${cspFacts.rootNodes.id})`,
  })
  const first = roots.get(rootPath(root, os))
  const repeated = first !== root ? [lost('certificate', `the store holds it once, for "${first?.id}"`)] : []
  return [...repeated, lost('id', 'the node is named by the SHA-1'), lost('displayName', 'there is no node for it')]
}

function scepCommands(scep: ScepDelivery, delivery: Delivery, os: Os): NodeCommand[] {
  const path = `${scopes[scep.principal]}/ClientCertificateInstall/SCEP/${nodeName(scep.id)}`
  const nodes = scepNodes(scep, delivery, os).map(([name, format, data]): NodeCommand => {
    return { verb: 'Add', path: `${path}/Install/${name}`, format, data }
  })
  return [{ verb: 'Add', path, format: 'node' }, ...nodes, { verb: 'Exec', path: `${path}/Install/Enroll` }]
}

/** The blob goes last: adding it begins the installation. */
function pfxCommands(pfx: PfxDelivery, os: Os): NodeCommand[] {
  const { id, principal, password, exportable, keyStorage = 'useSoftwareKsp' } = pfx
  const path = `${scopes[principal]}/ClientCertificateInstall/PFXCertInstall/${nodeName(id)}`
  const node = (name: string, format: string, data: string): NodeCommand => ({ verb: 'Add', path: `${path}/${name}`, format, data })
  return [
    { verb: 'Add', path, format: 'node' },
    node('KeyLocation', 'int', String(keyLocation(pfx, keyStorage, os))),
    ...(keyStorage === 'usePassportForWorkKspOtherwiseFail' ? [node('ContainerName', 'chr', id)] : []),
    node('PFXCertPassword', 'chr', password),
    node('PFXCertPasswordEncryptionType', 'int', String(says(cspFacts.pfxPassword, os))),
    ...(exportable === undefined ? [] : [node('PFXKeyExportable', 'bool', String(exportable))]),
    node('PFXCertBlob', 'chr', base64Of(pfx.pfx)),
  ]
}

function keyLocation({ id, exportable }: PfxDelivery, keyStorage: KeyStorageOption, os: Os): number {
  const { pfxKeyLocation, pfxExportable } = windowsFacts
  const location = 1 + says(pfxKeyLocation, os).indexOf(keyStorage)
  if (exportable && location !== says(pfxExportable, os))
    refuseNode(pfxExportable, `"${id}": PFXKeyExportable with KeyLocation ${location}`)
  return location
}

function nodeName(id: string): string {
  if (id !== '' && isXmlText(id)) return encodeURIComponent(id)
  throw new AgentError('ERR_PROFILE_INVALID', `the id ${JSON.stringify(id)} cannot name a node`)
}

function refuseRepeated(tree: string, requests: readonly (ScepDelivery | PfxDelivery)[], os: Os): void {
  const seen = new Set<string>()
  for (const { id, principal } of requests) {
    const path = `${scopes[principal]}/${id}`.toLowerCase()
    if (seen.has(path))
      refuseNode(cspFacts.existing, `${tree}/${id} is added twice, which is refused (status ${says(cspFacts.existing, os)})`)
    seen.add(path)
  }
}
