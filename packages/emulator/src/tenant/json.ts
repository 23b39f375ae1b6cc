import { AgentError } from '@certfleet/agent-core'

/** Graph's documents need six levels. */
const maxDepth = 64

/** How many more values, of any kind and depth, are read. Several texts may share one. */
export interface JsonBudget {
  values: number
}

/** Objects of more members are slow. */
const maxMembers = 100_000

/** An empty object takes three bytes of a file and a hundred of memory. */
const maxValues = 4_000_000

export function jsonBudget(): JsonBudget {
  return { values: maxValues }
}

/**
 * Reads JSON (RFC 8259) as `JSON.parse` does, and refuses what that hides or cannot place: a member that is named twice,
 * more than 64 levels, 100,000 members of one object, or 4,000,000 values. Fails with `ERR_PROFILE_INVALID`, naming line and column.
 */
export function parseJson(text: string, budget: JsonBudget = jsonBudget()): unknown {
  const cursor = new Cursor(text, budget)
  const value = readValue(cursor, 0)
  if (cursor.at < text.length) cursor.fail('the end of the file')
  return value
}

/** A place in a text, always in front of something that is not white space. */
class Cursor {
  at = 0
  readonly text: string
  readonly budget: JsonBudget

  constructor(text: string, budget: JsonBudget) {
    this.text = text
    this.budget = budget
    this.skipSpace()
  }

  next(): string | undefined {
    return this.text[this.at]
  }

  /** Steps over `token` if it is next. */
  took(token: string): boolean {
    if (!this.text.startsWith(token, this.at)) return false
    this.at += token.length
    this.skipSpace()
    return true
  }

  /** Steps over a match of a sticky expression and returns it. */
  match(expression: RegExp): string | undefined {
    expression.lastIndex = this.at
    const found = expression.exec(this.text)?.[0]
    if (found === undefined) return undefined
    this.at += found.length
    this.skipSpace()
    return found
  }

  /** Steps over a string and returns it; undefined when something else is next. */
  string(): string | undefined {
    if (this.next() !== '"') return undefined
    const start = this.at
    const end = closingQuote(this.text, start + 1)
    if (end < 0) this.fail(wholeString)
    try {
      const value: unknown = JSON.parse(this.text.slice(start, end + 1))
      this.at = end + 1
      this.skipSpace()
      return value as string
    } catch {
      // The engine's reason quotes the file and names no place.
      return this.fail(wholeString)
    }
  }

  fail(expected: string, at = this.at): never {
    let line = 1
    let start = 0
    for (let end = this.text.indexOf('\n'); end >= 0 && end < at; end = this.text.indexOf('\n', start)) {
      line++
      start = end + 1
    }
    const where = `line ${line}, column ${at - start + 1}`
    throw new AgentError('ERR_PROFILE_INVALID', `not JSON at ${where}: expected ${expected}`)
  }

  private skipSpace(): void {
    space.lastIndex = this.at
    this.at += (space.exec(this.text) as RegExpExecArray)[0].length
  }
}

const wholeString = 'a string that is closed, with known escapes and no control character'

/** The first quote that no backslash escapes; -1 where there is none. */
function closingQuote(text: string, from: number): number {
  for (let end = text.indexOf('"', from); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (end - backslashes > from && text[end - 1 - backslashes] === '\\') backslashes++
    if (backslashes % 2 === 0) return end
  }
  return -1
}

const space = /[ \t\r\n]*/y
const numberToken = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const literals: readonly (readonly [string, boolean | null])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
]

function readValue(cursor: Cursor, depth: number): unknown {
  if (--cursor.budget.values < 0) cursor.fail(`at most ${maxValues} values in all files together`)
  const next = cursor.next()
  if (next === '{') return readObject(cursor, depth + 1)
  if (next === '[') return readArray(cursor, depth + 1)
  const text = cursor.string()
  if (text !== undefined) return text
  const number = cursor.match(numberToken)
  if (number !== undefined) return Number(number)
  for (const [token, value] of literals) if (cursor.took(token)) return value
  return cursor.fail('a value')
}

function readObject(cursor: Cursor, depth: number): unknown {
  open(cursor, '{', depth)
  const members = new Map<string, unknown>()
  if (cursor.took('}')) return Object.fromEntries(members)
  do {
    const start = cursor.at
    const name = cursor.string()
    if (name === undefined) cursor.fail('the name of a member')
    if (members.has(name)) cursor.fail(`each member once, found ${JSON.stringify(name.slice(0, 80))} again`, start)
    if (!cursor.took(':')) cursor.fail('":"')
    if (members.size === maxMembers) cursor.fail(`at most ${maxMembers} members in one object`, start)
    members.set(name, readValue(cursor, depth))
  } while (cursor.took(','))
  if (!cursor.took('}')) cursor.fail('"," or "}"')
  return Object.fromEntries(members)
}

function readArray(cursor: Cursor, depth: number): unknown {
  open(cursor, '[', depth)
  const elements: unknown[] = []
  if (cursor.took(']')) return elements
  do elements.push(readValue(cursor, depth))
  while (cursor.took(','))
  if (!cursor.took(']')) cursor.fail('"," or "]"')
  return elements
}

function open(cursor: Cursor, bracket: string, depth: number): void {
  if (depth > maxDepth) cursor.fail(`at most ${maxDepth} levels`)
  cursor.took(bracket)
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
