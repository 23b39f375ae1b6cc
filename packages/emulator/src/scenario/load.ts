import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { refuseContradictions } from './contradictions.ts'
import { InputError } from './input-error.ts'
import { type ScenarioDocument, scenarioSchema } from './schema.ts'

const maxYamlBytes = 1_048_576

/**
 * Reads a scenario file. Every path in it comes back absolute, taken from the place of the file.
 * What cannot be used: `InputError` with `file:line:column`, the path inside, and what was expected; every problem is told at once.
 */
export async function loadScenario(file: string): Promise<ScenarioDocument> {
  const scenario = parseScenario(await readText(file, 'a scenario file'), file)
  return withPaths(scenario, (path) => resolve(dirname(file), path)) as ScenarioDocument
}

const pathKeys: ReadonlySet<string> = new Set(['profiles', 'tenant', 'pin-file'])
const targetPathKeys: ReadonlySet<string> = new Set(['token-file', 'ca', 'root', 'file', 'password-file'])

function withPaths(scenario: object, absolute: (path: string) => string, keys = pathKeys): object {
  return Object.fromEntries(
    Object.entries(scenario).map(([key, value]) => {
      if (keys.has(key)) return [key, absolute(value)]
      const isInTarget = keys === targetPathKeys && typeof value === 'object'
      return [key, key === 'target' || isInTarget ? withPaths(value, absolute, targetPathKeys) : value]
    }),
  )
}

/** `file` is for the messages only. */
export function parseScenario(text: string, file: string): ScenarioDocument {
  const { value, at } = parseYaml(text, file, scenarioSchema, 'certfleet run --help')
  refuseContradictions(value, at)
  return value
}

export interface ParsedYaml<T> {
  readonly value: T
  /** `file:line:column` where the value of that path starts, or the nearest thing around it that is there. */
  at(path: readonly PropertyKey[]): string
}

/**
 * Reads YAML that a schema takes; no text is an object without keys. What it does not take: `InputError` with a line
 * `file:line:column: path: what was expected` for every problem; for unknown keys `help` is where to read on.
 */
export function parseYaml<S extends z.ZodType>(text: string, file: string, schema: S, help: string): ParsedYaml<z.output<S>> {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, strict: true, uniqueKeys: true })
  const at = (offset: number) => position(file, lines, offset)
  if (document.errors.length > 0)
    throw new InputError(document.errors.map(({ message, pos }) => `${at(pos[0])}: ${firstLine(message)}`).join('\n'))
  const parsed = schema.safeParse(plainValue(document, file))
  if (parsed.success) return { value: parsed.data, at: (path) => at(offsetOf(document, path)) }
  throw new InputError(parsed.error.issues.flatMap((issue) => problemsOf(issue, document, at, help)).join('\n'))
}

/** The text of a file that is to hold `expected`. Unreadable or too large: `InputError`. */
export async function readText(file: string, expected: string): Promise<string> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new InputError(`${file}: cannot be read (${error.code}); expected ${expected} in YAML`)
  })
  if (bytes.length > maxYamlBytes) throw new InputError(`${file}: ${bytes.length} bytes, expected at most ${maxYamlBytes}`)
  return bytes.toString('utf8')
}

function plainValue(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 }) ?? {}
  } catch (error) {
    // yaml throws a ReferenceError when aliases expand beyond that count, or lead nowhere.
    if (error instanceof ReferenceError) throw new InputError(`${file}: ${error.message}`)
    throw error
  }
}

function problemsOf(issue: z.core.$ZodIssue, document: Document, at: (offset: number) => string, help: string): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map(
      (key) =>
        `${at(keyOffset(document, [...issue.path, key]))}: ${pathText([...issue.path, key])}unknown key; remove it, or see "${help}"`,
    )
  }
  const inner = issue.code === 'invalid_union' ? meantBranch(issue) : undefined
  if (inner) return inner.flatMap((problem) => problemsOf({ ...problem, path: [...issue.path, ...problem.path] }, document, at, help))
  return [`${at(offsetOf(document, issue.path))}: ${pathText(issue.path)}${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`]
}

/** Of several shapes the one that was meant, if only one has all its problems further inside: they say more than what all shapes are. */
function meantBranch({ errors }: z.core.$ZodIssueInvalidUnion): readonly z.core.$ZodIssue[] | undefined {
  const meant = errors.filter((issues) => issues.length > 0 && issues.every(({ path }) => path.length > 0))
  return meant.length === 1 ? meant[0] : undefined
}

function pathText(path: readonly PropertyKey[]): string {
  return path.length > 0 ? `${path.join('.')}: ` : ''
}

/** Where the value starts, or the nearest thing around it that is there. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  const node = path.length > 0 ? document.getIn(path, true) : document.contents
  if (isNode(node) && node.range) return node.range[0]
  return path.length > 0 ? offsetOf(document, path.slice(0, -1)) : 0
}

function keyOffset(document: Document, path: readonly PropertyKey[]): number {
  const parent = path.length > 1 ? document.getIn(path.slice(0, -1), true) : document.contents
  const pair = isMap(parent) && parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(path.at(-1)))
  return pair && isScalar(pair.key) && pair.key.range ? pair.key.range[0] : offsetOf(document, path.slice(0, -1))
}

function position(file: string, lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset)
  return `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}`
}

const firstLine = (message: string): string => (message.split('\n')[0] as string).replace(/ at line \d+, column \d+:?$/, '')
