import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { InputError } from './input-error.ts'
import { type ScenarioDocument, scenarioSchema } from './schema.ts'

const maxYamlBytes = 1_048_576

/**
 * Reads a scenario file. `profiles`, `tenant` and `pin-file` come back as absolute paths.
 * What cannot be used: `InputError` with `file:line:column`, the path inside, and what was expected; every problem is told at once.
 */
export async function loadScenario(file: string): Promise<ScenarioDocument> {
  const scenario = parseScenario(await readText(file, 'a scenario file'), file)
  const absolute = (path: string | undefined) => (path === undefined ? undefined : resolve(dirname(file), path))
  const pinFile = absolute(scenario['pin-file'])
  const { profiles, tenant } = { profiles: absolute(scenario.profiles), tenant: absolute(scenario.tenant) }
  return { ...scenario, ...(profiles && { profiles }), ...(tenant && { tenant }), ...(pinFile && { 'pin-file': pinFile }) }
}

/** `file` is for the messages only. */
export function parseScenario(text: string, file: string): ScenarioDocument {
  const { value, at } = parseYaml(text, file, scenarioSchema, 'certfleet run --help')
  return noContradiction(value, at)
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

function noContradiction(scenario: ScenarioDocument, at: ParsedYaml<unknown>['at']): ScenarioDocument {
  const { tenant, devices, management, ksp, 'pin-file': pinFile } = scenario
  if (tenant !== undefined && devices !== undefined)
    throw new InputError(
      `${at(['devices'])}: devices: the tenant names its devices; leave out "devices", or leave out "tenant" and have one generated`,
    )
  if (tenant !== undefined && management !== undefined)
    throw new InputError(`${at(['management'])}: management: the tenant says what its devices are enrolled as; say it there`)
  if (pinFile !== undefined && ksp?.kind !== 'passport' && ksp?.kind !== 'pkcs11')
    throw new InputError(
      `${at(['pin-file'])}: pin-file: nothing asks for a PIN; leave it out, or give "ksp" as passport or pkcs11:MODULE?token=LABEL`,
    )
  return scenario
}

function problemsOf(issue: z.core.$ZodIssue, document: Document, at: (offset: number) => string, help: string): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map(
      (key) =>
        `${at(keyOffset(document, [...issue.path, key]))}: ${pathText([...issue.path, key])}unknown key; remove it, or see "${help}"`,
    )
  }
  return [`${at(offsetOf(document, issue.path))}: ${pathText(issue.path)}${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`]
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
