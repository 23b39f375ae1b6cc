import type { HashName, KeyStorageOption, KeyUsage, SubjectAltName } from '@certfleet/agent-core'
import { parseDistinguishedName } from '@certfleet/agent-core/pki'
import type { KeyWish } from '../behaviour.ts'
import { says } from '../fact.ts'
import type { Os } from '../os.ts'
import { refusalFacts } from '../refusals.ts'
import type { ScepDelivery } from '../rendering/delivery.ts'
import { hexOf, namedHash, oidOf, scaleOf, wholeNumber } from '../rendering/values.ts'
import { cspFacts } from './csp-facts.ts'
import { windowsFacts } from './facts.ts'
import { windowsKeyStorage } from './key-storage.ts'
import { named, refuseNode } from './refuse.ts'

export interface ReadScepNodes {
  readonly settings: Omit<ScepDelivery, 'id' | 'displayName' | 'principal'>
  readonly skipped: readonly string[]
}

/** Values by node name, in lower case. */
type Nodes = ReadonlyMap<string, string>

/**
 * What the nodes below Install ask for. What the CSP refuses: `ERR_PROFILE_INVALID`, and `ERR_UNSUPPORTED` where the key cannot be
 * made; with node and fact, without the value. RetryCount is given as it stands.
 */
export function readScepNodes(nodes: Nodes, os: Os, id: string): ReadScepNodes {
  for (const name of says(cspFacts.requiredNodes, os)) {
    if (!nodes.has(name.toLowerCase())) refuseNode(cspFacts.requiredNodes, `"${id}" has no Install/${name}, which must be there`)
  }
  const value = (name: string) => nodes.get(name.toLowerCase()) ?? ''
  const skipped: string[] = []
  const hashes = hashesIn(value('HashAlgorithm'), os, skipped)
  const keyBits = keyLength(value('KeyLength'), os)
  const extendedKeyUsages = purposesIn(value('EKUMapping'), os)
  const keyStorage = keyStorageIn(nodes, os, {
    keyBits,
    extendedKeyUsages,
    hash: hashes.find((hash) => hash === says(windowsFacts.passportHash, os)) ?? hashes[0],
  })
  const challenge = challengeIn(value('Challenge'), os)
  const settings = {
    urls: urlsIn(value('ServerURL'), os),
    subject: subjectIn(value('SubjectName')),
    subjectAltNames: namesIn(value('SubjectAlternativeNames'), os, skipped),
    keyBits,
    keyUsages: usagesIn(value('KeyUsage'), os, skipped),
    keyStorage,
    hashes,
    extendedKeyUsages,
    rootThumbprint: hexIn(value('CAThumbprint'), os),
    ...(challenge !== '' && { challenge }),
    ...validityIn(nodes, os),
    ...retriesIn(nodes, os),
  }
  const unread = ['ContainerName', 'CustomTextToShowInPrompt', 'TemplateName', 'AADKeyIdentifierList'].filter((name) => value(name) !== '')
  return { settings, skipped: [...skipped, ...unread.map((name) => `Install/${name}: not modelled`)] }
}

function listed(text: string, separator: string): string[] {
  return text
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function purposesIn(text: string, os: Os): string[] {
  return listed(text, says(cspFacts.ekuSeparator, os)).map((oid) => oidOf(oid, named('Install/EKUMapping', cspFacts.ekuSeparator)))
}

function urlsIn(text: string, os: Os): string[] {
  const urls = listed(text, says(cspFacts.urlSeparator, os))
  return urls.length > 0 ? urls : refuseNode(cspFacts.requiredNodes, 'Install/ServerURL is empty')
}

/** Names its position on failure, not the value. */
function subjectIn(text: string): string {
  parseDistinguishedName(text)
  return text
}

function challengeIn(text: string, os: Os): string {
  if (says(cspFacts.challenge, os) !== 'base64') return text
  const bytes = Buffer.from(text.trim(), 'base64')
  const decoded = bytes.toString()
  const isText = bytes.toString('base64') === text.trim() && bytes.equals(Buffer.from(decoded))
  return isText ? decoded : text
}

function usagesIn(text: string, os: Os, skipped: string[]): KeyUsage[] {
  const bits = says(cspFacts.keyUsage, os)
  const number = wholeNumber(text, named('Install/KeyUsage', cspFacts.keyUsage))
  const usages = (['digitalSignature', 'keyEncipherment'] as const).filter((usage) => (number & bits[usage]) !== 0)
  if (usages.length < says(refusalFacts.keyUsage, os))
    refuseNode(refusalFacts.keyUsage, `Install/KeyUsage ${number} has neither ${Object.values(bits).join(' nor ')} in it`)
  const others = usages.reduce((rest, usage) => rest & ~bits[usage], number)
  if (others !== 0) skipped.push(`Install/KeyUsage: ${others} of it is not modelled`)
  return usages
}

function keyLength(text: string, os: Os): number {
  const lengths: readonly number[] = says(cspFacts.keyLength, os)
  const bits = wholeNumber(text, named('Install/KeyLength', cspFacts.keyLength))
  return lengths.includes(bits) ? bits : refuseNode(cspFacts.keyLength, `Install/KeyLength ${bits} is none of ${lengths.join(', ')}`)
}

function hashesIn(text: string, os: Os, skipped: string[]): HashName[] {
  const names = listed(text, '+')
  const hashes = names.flatMap((name) => namedHash(says(cspFacts.hashNames, os), name) ?? [])
  if (hashes.length === 0) refuseNode(cspFacts.hashNames, 'Install/HashAlgorithm names no hash that is known here')
  if (hashes.length < names.length) skipped.push('Install/HashAlgorithm: names a hash that is not known here')
  return [...new Set(hashes)]
}

function hexIn(text: string, os: Os): string {
  const byteCount = says(cspFacts.thumbprint, os)
  return hexOf(text, byteCount, named('Install/CAThumbprint', cspFacts.thumbprint))
}

function keyStorageIn(nodes: Nodes, os: Os, key: Omit<KeyWish, 'option'>): KeyStorageOption {
  const text = nodes.get('keyprotection')
  const number =
    text === undefined ? says(cspFacts.keyProtectionDefault, os) : wholeNumber(text, named('Install/KeyProtection', cspFacts.keyProtection))
  const option = says(cspFacts.keyProtection, os)[number - 1]
  if (option === undefined) return refuseNode(cspFacts.keyProtection, `Install/KeyProtection ${number} is none of 1 to 4`)
  if (option === 'usePassportForWorkKspOtherwiseFail' && (nodes.get('containername') ?? '') === '') {
    refuseNode(cspFacts.containerName, `Install/KeyProtection ${number} without Install/ContainerName`)
  }
  windowsKeyStorage({ option, ...key }, os)
  return option
}

function namesIn(text: string, os: Os, skipped: string[]): SubjectAltName[] {
  const separator = says(cspFacts.sanSeparators, os).charAt(0)
  const types = Object.entries(says(cspFacts.sanTypes, os)) as [SubjectAltName['type'], number][]
  return text.split(separator).flatMap((name): SubjectAltName[] => {
    if (name.trim() === '') return []
    const [, digits, value] = /^\s*(\d{1,9})\+(.*)$/s.exec(name) ?? []
    if (value === undefined) return refuseNode(cspFacts.sanSeparators, 'Install/SubjectAlternativeNames holds no kind+name;kind+name')
    const type = types.find(([, number]) => number === Number(digits))?.[0]
    if (type === undefined) skipped.push(`Install/SubjectAlternativeNames: a name of kind ${Number(digits)} (${cspFacts.sanTypes.id})`)
    return type === undefined ? [] : [{ type, value }]
  })
}

function validityIn(nodes: Nodes, os: Os): Pick<ScepDelivery, 'validity'> {
  const value = wholeNumber(nodes.get('validperiodunits') ?? '0', named('Install/ValidPeriodUnits', cspFacts.validity))
  const [first] = says(cspFacts.validity, os)
  const scale = scaleOf(nodes.get('validperiod') ?? first, named('Install/ValidPeriod', cspFacts.validity))
  return value === 0 ? {} : { validity: { value, scale } }
}

/** What is not said of the two is as the CSP takes it. */
function retriesIn(nodes: Nodes, os: Os): Pick<ScepDelivery, 'retries'> {
  const [count, delay] = [nodes.get('retrycount'), nodes.get('retrydelay')]
  if (count === undefined && delay === undefined) return {}
  const delayMs = wholeNumber(delay ?? '0', named('Install/RetryDelay', cspFacts.retryDelay)) * says(cspFacts.retryDelay, os)
  return {
    retries: {
      count:
        count === undefined
          ? says(windowsFacts.pendingPolls, os)
          : wholeNumber(count, named('Install/RetryCount', windowsFacts.pendingPolls)),
      delayMs: delay === undefined ? says(windowsFacts.pendingDelayMs, os) : delayMs,
    },
  }
}
