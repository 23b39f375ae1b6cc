import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { AgentError } from '@certfleet/agent-core'
import { identityOf, type OpenedPfx, openPfx } from '@certfleet/agent-core/pfx'
import type { Suite, VectorCase, Verdict } from '../suite.ts'
import { readVectorFile } from './files.ts'

/** What a file of the suite is expected to do, in the words of its `EXPECTED.tsv`. */
interface Row {
  /** A file name; `*` stands for any text. */
  readonly pattern: string
  readonly password: string
  /** Begins with `OK` or `REFUSE`; what follows says what is in it. */
  readonly expected: string
}

/** OpenSSL's files, of which the folder's README tells and no row. */
const readmeRows: readonly Row[] = [
  { pattern: 'pbmac1_*.good.p12', password: '1234', expected: 'OK key+cert' },
  { pattern: 'pbmac1_*.bad-iter.p12', password: '1234', expected: 'REFUSE' },
  { pattern: 'pbmac1_*.no-len.p12', password: '1234', expected: 'REFUSE' },
  { pattern: 'pbmac1_*.zero-len.p12', password: '1234', expected: 'REFUSE' },
  { pattern: 'bad1.p12', password: '', expected: 'REFUSE' },
  { pattern: 'nomac_parse.p12', password: 'testpassword', expected: 'REFUSE' },
  { pattern: 'test-BER.p12', password: '12345', expected: 'OK key+cert' },
]

/** pyca's and OpenSSL's PKCS#12 files. Its rows decide: a file that none is about is not scored, and `unscored` names it. */
export const pkcs12: Required<Suite> = {
  name: 'pkcs12',
  folder: 'pkcs12',
  load(dir) {
    if (!existsSync(join(dir, 'pkcs12'))) return undefined
    return filesWithRows(dir).flatMap(({ file, row }) => (row ? casesOf(join(dir, 'pkcs12', file), file, row) : []))
  },
  unscored: (dir) => filesWithRows(dir).flatMap(({ file, row }) => (row ? [] : [file])),
}

function filesWithRows(dir: string): readonly { readonly file: string; readonly row: Row | undefined }[] {
  const folder = join(dir, 'pkcs12')
  if (!existsSync(folder)) return []
  const table = join(folder, 'EXPECTED.tsv')
  const rows = existsSync(table) ? readRows(readVectorFile(table).toString('utf8')) : []
  const files = readdirSync(folder).filter((file) => /\.(?:p12|pfx)$/.test(file))
  return files.sort().map((file) => ({ file, row: rowOf(file, rows) ?? rowOf(file, readmeRows) }))
}

/** `any of the above` is no row: every file that opens is tried with a wrong password too. */
function readRows(text: string): readonly Row[] {
  const lines = text.split(/\r?\n/).map((line) => line.split('\t').map((cell) => cell.trim()))
  return lines.flatMap(([files = '', password = '', expected = '']) => {
    if (files.startsWith('#') || !/^(?:OK|REFUSE)/.test(expected)) return []
    return files.split(/,\s*/).map((pattern) => ({ pattern, password: /^\(.*\)$/.test(password) ? '' : password, expected }))
  })
}

/** Of several rows, that with most of the name: `name-*-no-pwd.p12` is more than `name-*-pwd.p12`. */
function rowOf(file: string, rows: readonly Row[]): Row | undefined {
  const fitting = rows.filter(({ pattern }) => pattern.includes('.') && matches(pattern, file))
  return fitting.sort((a, b) => b.pattern.length - a.pattern.length)[0]
}

function matches(pattern: string, file: string): boolean {
  const literal = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${literal.join('.*')}$`).test(file)
}

function casesOf(path: string, file: string, row: Row): readonly VectorCase[] {
  const bytes = readVectorFile(path)
  const { password, expected } = row
  const id = `pkcs12::${file}`
  if (expected.startsWith('REFUSE')) return [{ id, expected: 'refuse', run: () => opens(bytes, password) }]
  const needsSwitch = /only if the legacy switch/.test(expected)
  const withoutSwitch: VectorCase = { id: `${id}::without legacy`, expected: 'refuse', run: () => opens(bytes, password, false) }
  return [
    { id, expected: 'accept', run: async () => (holdsWhat(row, file, await openedBySwitch(bytes, password)) ? 'accept' : 'refuse') },
    ...(needsSwitch ? [withoutSwitch] : []),
    { id: `${id}::wrong password`, expected: 'refuse', run: () => refusesPassword(bytes, 'wrong') },
  ]
}

async function opens(bytes: Uint8Array, password: string, legacy = true): Promise<Verdict> {
  await openPfx(bytes, { password, legacy })
  return 'accept'
}

/** With the switch only where it is asked for. */
async function openedBySwitch(bytes: Uint8Array, password: string): Promise<OpenedPfx> {
  try {
    return await openPfx(bytes, { password })
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== 'ERR_ALGORITHM_REFUSED') throw error
    return await openPfx(bytes, { password, legacy: true })
  }
}

/** Refused for the password, to the letter; any other refusal fails the case. */
async function refusesPassword(bytes: Uint8Array, password: string): Promise<Verdict> {
  try {
    return await opens(bytes, password)
  } catch (error) {
    if ((error as Error).message === 'the password is wrong, or the file was changed') return 'refuse'
    throw new Error(`refused for another cause: ${String(error)}`)
  }
}

function holdsWhat({ expected }: Row, file: string, opened: OpenedPfx): boolean {
  const { keys, certificates } = opened
  const names = friendlyNamesOf(file)
  if (names && !names.every((name, i) => name(certificates[i]?.friendlyName))) return false
  if (/\bcert, no key\b/.test(expected)) return keys.length === 0 && certificates.length > 0
  if (/\bkey, no cert\b/.test(expected)) return keys.length === 1 && certificates.length === 0
  return !/\bkey\+cert\b/.test(expected) || identityOf(opened).key === keys[0]
}

type NameCheck = (name: string | undefined) => boolean

/** pyca's names: which of leaf and two issuers are named. `no-cert` files have no leaf; `unicode` names are outside ASCII. */
function friendlyNamesOf(file: string): readonly NameCheck[] | undefined {
  const which = /^(?:no-cert-)?(no-)?name(?:-([\w-]*?))?-(?:no-)?pwd\.p12$/.exec(file)
  if (!which) return undefined
  const words = which[1] ? [] : (which[2] ?? '').split('-')
  const checks = ['1', '2', '3'].map((number): NameCheck => {
    if (words.includes('unicode')) return (name) => name !== undefined && /[^\0-\x7f]/.test(name)
    const wanted = words.includes(number) || words.includes('all') ? `name${number}`.replace('name1', 'name') : undefined
    return (name) => name === wanted
  })
  return file.startsWith('no-cert-') ? checks.slice(1) : checks
}
