import type { HashName, KeyUsage, SubjectAltName } from '@certfleet/agent-core'
import { NameOid, parseDistinguishedName, quoteNameValue } from '@certfleet/agent-core/pki'
import { says } from '../fact.ts'
import type { Os } from '../os.ts'
import type { Delivery, LostSetting, ScepDelivery } from '../rendering/delivery.ts'
import { hashNameIn, sha1Of } from '../rendering/values.ts'
import { isXmlText } from '../rendering/xml.ts'
import { cspFacts } from './csp-facts.ts'
import { refuseNode } from './refuse.ts'
import { readScepNodes } from './scep-settings.ts'

/** Name below Install, format, value. */
export type InstallNode = readonly [name: string, format: 'chr' | 'int', value: string]

/** A SCEP request as the nodes below Install, Enroll left out. What the CSP would refuse is refused: `ERR_PROFILE_INVALID`, `ERR_UNSUPPORTED`. */
export function scepNodes(scep: ScepDelivery, { roots }: Delivery, os: Os): readonly InstallNode[] {
  const nodes = [...requiredNodes(scep, roots, os), ...keyProtection(scep, os), ...optionalNodes(scep, os)]
  readScepNodes(new Map(nodes.map(([name, , value]) => [name.toLowerCase(), value])), os, scep.id)
  return nodes
}

/** What the nodes have no place for. */
export function lostOfScep(scep: ScepDelivery, os: Os): readonly LostSetting[] {
  const { installNodes, hashNames, sanSeparators, retryDelay } = cspFacts
  const lost = (setting: keyof ScepDelivery, reason: string): LostSetting => ({ id: scep.id, setting, reason })
  const noNode = `there is no node for it (${installNodes.id})`
  const hashes = scep.hashes ?? []
  const named = Object.values(says(hashNames, os))
  return [
    lost('displayName', noNode),
    ...(scep.renewalThresholdPercent === undefined ? [] : [lost('renewalThresholdPercent', noNode)]),
    ...(hashes.length === 0
      ? [lost('hashes', `HashAlgorithm is required and says ${defaultHash(os)}, not that the CA may choose (${cspFacts.requiredNodes.id})`)]
      : []),
    ...(hashes.some((hash) => !named.includes(hash)) ? [lost('hashes', `HashAlgorithm names families, not sizes (${hashNames.id})`)] : []),
    ...(carriedNames(scep, os).length < scep.subjectAltNames.length
      ? [lost('subjectAltNames', `a name with a semicolon in it is left out (${sanSeparators.id})`)]
      : []),
    ...(Number.isInteger((scep.retries?.delayMs ?? 0) / says(retryDelay, os))
      ? []
      : [lost('retries', `whole minutes only (${retryDelay.id})`)]),
  ]
}

function requiredNodes(scep: ScepDelivery, roots: Delivery['roots'], os: Os): InstallNode[] {
  const { keyBits, keyUsages } = scep
  if (keyBits === undefined) return refuseMissing(scep, 'keyBits', 'KeyLength')
  if (keyUsages === undefined) return refuseMissing(scep, 'keyUsages', 'KeyUsage')
  const hashes = new Set((scep.hashes ?? []).map((hash) => hashNameIn(says(cspFacts.hashNames, os), hash)))
  return [
    ['ServerURL', 'chr', joinedUrls(scep, os)],
    ['Challenge', 'chr', challengeText(scep, os)],
    ['SubjectName', 'chr', subjectText(scep.subject)],
    ['KeyUsage', 'int', String(usageNumber(keyUsages, os))],
    ['KeyLength', 'int', String(keyBits)],
    ['HashAlgorithm', 'chr', [...hashes].join('+') || defaultHash(os)],
    ['EKUMapping', 'chr', (scep.extendedKeyUsages ?? []).join(says(cspFacts.ekuSeparator, os))],
    ['CAThumbprint', 'chr', thumbprint(scep, roots).toUpperCase()],
  ]
}

function optionalNodes(scep: ScepDelivery, os: Os): InstallNode[] {
  const { validity, retries } = scep
  const types = says(cspFacts.sanTypes, os)
  const names = carriedNames(scep, os).map(({ type, value }) => `${types[type]}+${value}`)
  const nodes: InstallNode[] = []
  if (retries) {
    nodes.push(['RetryCount', 'int', String(retries.count)])
    nodes.push(['RetryDelay', 'int', String(Math.ceil(retries.delayMs / says(cspFacts.retryDelay, os)))])
  }
  if (names.length > 0) nodes.push(['SubjectAlternativeNames', 'chr', names.join(';')])
  if (validity) {
    const unit = says(cspFacts.validity, os).find((candidate) => candidate.toLowerCase() === validity.scale)
    nodes.push(['ValidPeriod', 'chr', unit ?? validity.scale])
    nodes.push(['ValidPeriodUnits', 'int', String(validity.value)])
  }
  return nodes
}

/** Numbered in the order of the fact; Passport's container is named by the request. */
function keyProtection({ keyStorage, id }: ScepDelivery, os: Os): InstallNode[] {
  if (keyStorage === undefined) return []
  const node: InstallNode = ['KeyProtection', 'int', String(1 + says(cspFacts.keyProtection, os).indexOf(keyStorage))]
  return keyStorage === 'usePassportForWorkKspOtherwiseFail' ? [node, ['ContainerName', 'chr', id]] : [node]
}

function joinedUrls({ id, urls }: ScepDelivery, os: Os): string {
  const separator = says(cspFacts.urlSeparator, os)
  if (urls.some((url) => url.includes(separator))) refuseNode(cspFacts.urlSeparator, `"${id}": a SCEP URL holds a semicolon`)
  return urls.join(separator)
}

function challengeText({ id, challenge = '' }: ScepDelivery, os: Os): string {
  if (!isXmlText(challenge)) refuseNode(cspFacts.challenge, `"${id}": the challenge holds a character that no text node has`)
  return says(cspFacts.challenge, os) === 'base64' ? Buffer.from(challenge).toString('base64') : challenge
}

const shortNames: ReadonlyMap<string, string> = new Map(Object.entries(NameOid).map(([name, type]) => [type, name]))

/** `parseDistinguishedName` takes backslashes too, CertStrToName does not. */
function subjectText(subject: string): string {
  const rdns = parseDistinguishedName(subject)
  return rdns.map((rdn) => rdn.map(({ type, value }) => `${shortNames.get(type) ?? type}=${quoteNameValue(value)}`).join('+')).join(',')
}

function usageNumber(usages: readonly KeyUsage[], os: Os): number {
  const bits = says(cspFacts.keyUsage, os)
  return usages.reduce((sum, usage) => sum | bits[usage], 0)
}

function defaultHash(os: Os): string {
  const hash: HashName = 'sha256'
  return hashNameIn(says(cspFacts.hashNames, os), hash)
}

function carriedNames({ subjectAltNames }: ScepDelivery, os: Os): readonly SubjectAltName[] {
  const separator = says(cspFacts.sanSeparators, os).charAt(0)
  return subjectAltNames.filter(({ value }) => !value.includes(separator))
}

function thumbprint(scep: ScepDelivery, roots: Delivery['roots']): string {
  const root = roots.find(({ id }) => id === scep.rootId)
  if (scep.rootThumbprint !== undefined) return scep.rootThumbprint
  return root ? sha1Of(root.certificate) : refuseMissing(scep, 'rootThumbprint', 'CAThumbprint')
}

function refuseMissing({ id }: ScepDelivery, setting: keyof ScepDelivery, node: string): never {
  return refuseNode(cspFacts.requiredNodes, `"${id}" has no ${setting}, and ${node} must be there`)
}
