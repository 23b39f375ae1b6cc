import { AgentError } from '@certfleet/agent-core'
import { parseJson } from './json.ts'
import { decodeText } from './text.ts'
import type { Finding } from './types.ts'

export interface ExportFile {
  readonly name: string
  readonly bytes: Uint8Array
}

/** One JSON object of an export and its place in its file. */
export interface GraphObject {
  readonly file: string
  readonly path: string
  readonly members: Readonly<Record<string, unknown>>
}

/**
 * The objects of one file: a single object, `{value: {…}}` as documentation has it, `{value: […]}` as Graph answers,
 * or an array of any of these.
 */
export function readObjects(file: ExportFile): { objects: GraphObject[]; findings: Finding[] } {
  try {
    return unwrap(parseJson(decodeText(file.bytes)), file.name)
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return { objects: [], findings: [malformed(file.name, '', error.message)] }
  }
}

function unwrap(root: unknown, file: string): { objects: GraphObject[]; findings: Finding[] } {
  const objects: GraphObject[] = []
  const findings: Finding[] = []
  for (const [value, path] of Array.isArray(root) ? root.map((item, i) => [item, `[${i}]`] as const) : [[root, ''] as const]) {
    for (const [member, place] of listed(value, path)) {
      if (isObject(member)) objects.push({ file, path: place, members: member })
      else findings.push(malformed(file, place, `expected a JSON object, found ${nameOf(member)}`))
    }
  }
  return { objects, findings }
}

function listed(value: unknown, path: string): (readonly [unknown, string])[] {
  if (!isObject(value) || value['@odata.type'] !== undefined || !('value' in value)) return [[value, path]]
  const list = joinPath(path, 'value')
  return Array.isArray(value.value) ? value.value.map((item, i) => [item, `${list}[${i}]`]) : [[value.value, list]]
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `value[0]` and `keySize` make `value[0].keySize`; a number makes an index. */
export function joinPath(path: string, ...keys: readonly PropertyKey[]): string {
  let joined = path
  for (const key of keys) joined += typeof key === 'number' ? `[${key}]` : joined === '' ? String(key) : `.${String(key)}`
  return joined
}

function nameOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`
}

function malformed(file: string, path: string, message: string): Finding {
  return { id: 'file-malformed', severity: 'error', file, ...(path === '' ? {} : { path }), message }
}
