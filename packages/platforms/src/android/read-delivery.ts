import { AgentError } from '@certfleet/agent-core'
import { says } from '../fact.ts'
import type { Os } from '../os.ts'
import type { ReadDelivery, RootDelivery, ScepDelivery } from '../rendering/delivery.ts'
import { readSyncMlMessage, type SyncMlCommand } from '../rendering/syncml.ts'
import { base64Bytes, sha1Of } from '../rendering/values.ts'
import { readRequestDocument } from './request-settings.ts'
import { androidSyncMlFacts } from './syncml-facts.ts'

/** What a message tells the agent on Android to install. What it would not understand: `ERR_PROFILE_INVALID`. */
export function readForAndroid(text: string, os: Os): ReadDelivery {
  const { deviceId, commands } = readSyncMlMessage(text)
  const skipped: string[] = []
  const nodes = nodesOf(commands, os, skipped)
  const roots = nodes.flatMap(({ tree, id, data }): RootDelivery[] => {
    if (tree !== 'root') return []
    return [
      { id, displayName: id, certificate: base64Bytes(data, `${says(androidSyncMlFacts.root, os)}/${id.slice(0, maxToldCharacters)}`) },
    ]
  })
  const scep = nodes.flatMap(({ tree, id, data }) => (tree === 'enroll' ? [readScep(id, data, roots, os, skipped)] : []))
  return { ...(deviceId !== undefined && { deviceId }), roots, scep, pfx: [], skipped }
}

const maxToldCharacters = 256

interface Node {
  readonly tree: 'root' | 'enroll'
  readonly id: string
  readonly data: string
}

function nodesOf(commands: readonly SyncMlCommand[], os: Os, skipped: string[]): readonly Node[] {
  const nodes = new Map<string, Node>()
  for (const { verb, path, data } of stepsOf(commands)) {
    const place = verb === 'Add' || verb === 'Replace' ? placeOf(path, os) : undefined
    if (place === undefined) {
      skipped.push(`${verb} ${path}`.trim().slice(0, maxToldCharacters))
      continue
    }
    const key = `${place.tree}/${place.id}`
    if (verb === 'Add' && nodes.has(key)) refuseExisting(path, os)
    nodes.set(key, { ...place, data })
  }
  return [...nodes.values()]
}

const answers: ReadonlySet<string> = new Set(['Status', 'Final'])

function stepsOf(commands: readonly SyncMlCommand[]): { verb: string; path: string; data: string }[] {
  return commands.flatMap(({ verb, items, commands: inside }) => {
    if (answers.has(verb)) return []
    if (inside.length > 0) return stepsOf(inside)
    return items.length > 0 ? items.map((item) => ({ verb, ...item })) : [{ verb, path: '', data: '' }]
  })
}

function placeOf(path: string, os: Os): Pick<Node, 'tree' | 'id'> | undefined {
  const root = idBetween(path, says(androidSyncMlFacts.root, os), 'EncodedCertificate')
  if (root !== undefined) return { tree: 'root', id: root }
  const request = idBetween(path, says(androidSyncMlFacts.enroll, os), 'Install')
  if (request === undefined) return undefined
  // The hash says nothing about the request that the request does not say itself.
  const [, id = request] = /^ModelName=(.*);Hash=-?\d+$/is.exec(request) ?? []
  return id === '' ? undefined : { tree: 'enroll', id }
}

function idBetween(path: string, tree: string, leaf: string): string | undefined {
  const [before, after] = [`${tree}/`.toLowerCase(), `/${leaf}`.toLowerCase()]
  const whole = path.toLowerCase()
  if (!whole.startsWith(before) || !whole.endsWith(after)) return undefined
  const name = path.slice(before.length, -after.length)
  return name === '' || name.includes('/') ? undefined : decoded(name)
}

/** A name with a percent sign of its own stays as it is. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

function readScep(id: string, data: string, roots: readonly RootDelivery[], os: Os, skipped: string[]): ScepDelivery {
  const { settings, skipped: unread } = readRequestDocument(data, os, id)
  skipped.push(...unread.map((told) => `${id}: ${told}`.slice(0, maxToldCharacters)))
  const root = roots.find(({ certificate }) => sha1Of(certificate) === settings.rootThumbprint)
  return { id, displayName: id, principal: 'device', ...settings, ...(root && { rootId: root.id }) }
}

function refuseExisting(path: string, os: Os): never {
  const { existing } = androidSyncMlFacts
  throw new AgentError(
    'ERR_PROFILE_INVALID',
    `${path.slice(0, maxToldCharacters)} is added twice, which is refused (status ${says(existing, os)}) (${existing.id})`,
  )
}
