import { AgentError } from '@certfleet/agent-core'
import { isObject, type JsonBudget, jsonBudget, parseJson } from './json.ts'
import { type Page, pagesIn } from './pages.ts'
import { withoutSdkWrapping } from './powershell.ts'
import { decodeText } from './text.ts'
import type { Finding } from './types.ts'

export { isObject } from './json.ts'

export interface ExportFile {
  readonly name: string
  readonly bytes: Uint8Array
}

/** One JSON object of an export and its place in its file. */
export interface GraphObject {
  readonly file: string
  readonly path: string
  readonly members: Readonly<Record<string, unknown>>
  /** The `@odata.context` of the answer that it came in. */
  readonly context?: unknown
}

/** What is left of an export's limits. */
export interface ExportBudget extends JsonBudget {
  objects: number
}

const maxObjects = 100_000

export function exportBudget(): ExportBudget {
  return { ...jsonBudget(), objects: maxObjects }
}

/**
 * The objects of one file: a single object, `{value: {…}}` as documentation has it, `{value: […]}` as Graph answers, the bodies of an
 * answer to `$batch`, or an array of any of these.
 */
export function readObjects(file: ExportFile, budget: ExportBudget): Objects & { readonly pages: readonly Page[] } {
  try {
    const root = parseJson(decodeText(file.bytes), budget)
    return { ...unwrap(root, file.name, budget), pages: pagesIn(root, file.name) }
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return { objects: [], findings: [malformed(file.name, '', error.message)], pages: [] }
  }
}

interface Objects {
  readonly objects: readonly GraphObject[]
  readonly findings: readonly Finding[]
}

/** Of elements that are no objects the first is told: a list of them has them all. */
function unwrap(root: unknown, file: string, budget: ExportBudget): Objects {
  const objects: GraphObject[] = []
  let problem: Finding | undefined
  for (const { value, path, context } of answersIn(root)) {
    const members = withoutSdkWrapping(value)
    if (!isObject(members)) problem ??= malformed(file, path, `expected a JSON object, found ${nameOf(members)}`)
    else if (--budget.objects >= 0) objects.push({ file, path, members, context: members['@odata.context'] ?? context })
    else return { objects, findings: [malformed(file, path, `expected at most ${maxObjects} objects in all files together`)] }
  }
  return { objects, findings: problem ? [problem] : [] }
}

interface Listed {
  readonly value: unknown
  readonly path: string
  readonly context?: unknown
}

function* answersIn(root: unknown): Iterable<Listed> {
  for (const answer of elements(root, '')) {
    if (isObject(answer.value) && Array.isArray(answer.value.responses))
      for (const response of elements(answer.value.responses, joinPath(answer.path, 'responses'))) yield* listed(bodyOf(response))
    else yield* listed(answer)
  }
}

function* elements(value: unknown, path: string): Iterable<Listed> {
  if (!Array.isArray(value)) yield { value, path }
  else for (const [i, element] of value.entries()) yield { value: element, path: `${path}[${i}]` }
}

/** One answer of a `$batch`. */
function bodyOf({ value, path }: Listed): Listed {
  return isObject(value) && isObject(value.body) ? { value: value.body, path: joinPath(path, 'body') } : { value, path }
}

function* listed({ value, path }: Listed): Iterable<Listed> {
  if (!isObject(value) || value['@odata.type'] !== undefined || !('value' in value)) return yield { value, path }
  const context = value['@odata.context']
  for (const element of elements(value.value, joinPath(path, 'value'))) yield { ...element, context }
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
