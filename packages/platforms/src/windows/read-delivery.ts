import type { StoreName } from '@certfleet/agent-core'
import { says } from '../fact.ts'
import type { Os } from '../os.ts'
import type { PfxDelivery, ReadDelivery, RootDelivery, ScepDelivery } from '../rendering/delivery.ts'
import { readSyncMlMessage } from '../rendering/syncml.ts'
import { base64Bytes, sha1Of, truth, wholeNumber } from '../rendering/values.ts'
import { cspFacts } from './csp-facts.ts'
import { windowsFacts } from './facts.ts'
import { type NodeTree, nodeTrees } from './node-tree.ts'
import { named, refuseNode } from './refuse.ts'
import { readScepNodes } from './scep-settings.ts'

/** What a message brings to a device that has nothing. What a CSP refuses: `ERR_PROFILE_INVALID`, and `ERR_UNSUPPORTED` for a key that cannot be. */
export function readForWindows(text: string, os: Os): ReadDelivery {
  const { deviceId, commands } = readSyncMlMessage(text)
  const { trees, skipped } = nodeTrees(commands, os)
  const ofKind = (...kinds: string[]) => trees.filter(({ path }) => kinds.includes(path.kind))
  const roots = ofKind('root', 'ca').flatMap((tree) => readRoot(tree, os, skipped))
  return {
    ...(deviceId !== undefined && { deviceId }),
    roots,
    scep: ofKind('scep').map((tree) => readScep(tree, roots, os, skipped)),
    pfx: ofKind('pfx').flatMap((tree) => readPfx(tree, os, skipped)),
    skipped,
  }
}

function readRoot({ path, leaves }: NodeTree, os: Os, skipped: string[]): RootDelivery[] {
  const { noUserRoot, rootMismatch } = cspFacts
  tellUnknown(path.id, leaves.keys(), ['', 'encodedcertificate'], skipped)
  const leaf = leaves.get('encodedcertificate')
  if (leaf === undefined) return []
  if (path.kind === 'root' && path.principal === 'user') refuseNode(noUserRoot, `the Root store of a user, for ${path.id}, is not there`)
  const certificate = base64Bytes(leaf.data, named('EncodedCertificate', cspFacts.rootNodes))
  const sha1 = sha1Of(certificate)
  if (path.id.toLowerCase() !== sha1) {
    refuseNode(rootMismatch, `the certificate under ${path.id} has another SHA-1, which is refused (status ${says(rootMismatch, os)})`)
  }
  const destinationStore = storeOf(path)
  const id = `${destinationStore}/${sha1}`
  return [{ id, displayName: id, certificate, destinationStore }]
}

function storeOf({ kind, principal }: NodeTree['path']): StoreName {
  if (kind === 'root') return 'computer-root'
  return principal === 'user' ? 'user-intermediate' : 'computer-intermediate'
}

function readScep(tree: NodeTree, roots: readonly RootDelivery[], os: Os, skipped: string[]): ScepDelivery {
  const { id, principal, old } = tree.path
  refuseLoose(tree, tree.enrolled)
  const { oldTree, installNodes } = cspFacts
  const older: ReadonlyMap<string, string> = new Map(old ? Object.entries(says(oldTree, os)) : [])
  const known = says(installNodes, os).map((name) => name.toLowerCase())
  const named = [...tree.leaves].map(([leaf, { data }]): [string, string] => {
    const name = leaf.replace(/^install\//, '')
    return [(older.get(name) ?? name).toLowerCase(), data]
  })
  tellUnknown(
    id,
    named.map(([name]) => name),
    ['', 'install', ...known],
    skipped,
  )
  const { settings, skipped: unread } = readScepNodes(new Map(named), os, id)
  skipped.push(...unread.map((told) => `${id}: ${told}`))
  const root = roots.find(({ certificate }) => sha1Of(certificate) === settings.rootThumbprint)
  return { id, displayName: id, principal, ...settings, ...(root && { rootId: root.id }) }
}

function refuseLoose({ path: { id }, leaves }: NodeTree, enrolled: NodeTree['enrolled']): void {
  const { enrollLast, atomic } = cspFacts
  if (enrolled === undefined) refuseNode(enrollLast, `SCEP/${id} has no Exec of Install/Enroll, which must come last`)
  if (enrolled.atomic === undefined) refuseNode(atomic, `Exec of SCEP/${id}/Install/Enroll stands in no Atomic`)
  for (const [leaf, { atomic: other }] of leaves) {
    if (other !== enrolled.atomic) refuseNode(atomic, `SCEP/${id}/${leaf} stands outside the Atomic of its Enroll`)
  }
}

function readPfx({ path: { id, principal }, leaves }: NodeTree, os: Os, skipped: string[]): PfxDelivery[] {
  const { pfxNodes, pfxPassword, atomic } = cspFacts
  const value = (name: string) => leaves.get(name.toLowerCase())?.data
  tellUnknown(id, leaves.keys(), ['', ...says(pfxNodes, os).map((name) => name.toLowerCase())], skipped)
  const atomics = new Set([...leaves.values()].map((leaf) => leaf.atomic))
  if (atomics.size !== 1 || atomics.has(undefined)) refuseNode(atomic, `the nodes of PFXCertInstall/${id} do not stand in one Atomic`)
  const keyStorage = pfxKeyStorage(id, value('KeyLocation'), value('ContainerName'), os)
  const exportable = value('PFXKeyExportable')
  if (exportable !== undefined)
    refuseExportable(id, truth(exportable, named('PFXKeyExportable', windowsFacts.pfxExportable)), value('KeyLocation'), os)
  const blob = value('PFXCertBlob')
  if (blob === undefined) return refuseNode(pfxNodes, `PFXCertInstall/${id} has no PFXCertBlob`)
  const pfx = base64Bytes(blob, named(`PFXCertInstall/${id}/PFXCertBlob`, pfxNodes))
  const encryption = wholeNumber(value('PFXCertPasswordEncryptionType') ?? '0', named('PFXCertPasswordEncryptionType', pfxPassword))
  if (encryption !== says(pfxPassword, os)) {
    skipped.push(`PFXCertInstall/${id}: its password is encrypted for a certificate of the device (${pfxPassword.id})`)
    return []
  }
  const password = value('PFXCertPassword') ?? ''
  const settings = {
    keyStorage,
    ...(exportable !== undefined && { exportable: truth(exportable, named('PFXKeyExportable', windowsFacts.pfxExportable)) }),
  }
  return [{ id, displayName: id, principal, pfx, password, ...settings }]
}

function pfxKeyStorage(id: string, location: string | undefined, container: string | undefined, os: Os) {
  const { pfxKeyLocation } = windowsFacts
  const number = wholeNumber(location ?? '', named(`PFXCertInstall/${id}/KeyLocation`, pfxKeyLocation))
  const option = says(pfxKeyLocation, os)[number - 1]
  if (option === undefined) return refuseNode(pfxKeyLocation, `PFXCertInstall/${id}/KeyLocation ${number} is none of 1 to 4`)
  if (option === 'usePassportForWorkKspOtherwiseFail' && !container) {
    refuseNode(cspFacts.containerName, `PFXCertInstall/${id}/KeyLocation ${number} without ContainerName`)
  }
  return option
}

function refuseExportable(id: string, exportable: boolean, location: string | undefined, os: Os): void {
  const { pfxExportable } = windowsFacts
  const number = wholeNumber(location ?? '', named('KeyLocation', windowsFacts.pfxKeyLocation))
  if (exportable && number !== says(pfxExportable, os)) {
    refuseNode(pfxExportable, `PFXCertInstall/${id}: PFXKeyExportable is true, KeyLocation is ${number}`)
  }
}

function tellUnknown(id: string, names: Iterable<string>, known: readonly string[], skipped: string[]): void {
  for (const name of names) if (!known.includes(name)) skipped.push(`${id}: no node is called ${name}`.slice(0, 256))
}
