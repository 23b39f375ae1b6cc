import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { AgentError } from '@certfleet/agent-core'
import type { ExportFile } from './documents.ts'
import { importGraph } from './import.ts'
import { parseTenant } from './tenant-file.ts'
import type { Tenant } from './tenant-types.ts'
import type { Finding, Import } from './types.ts'

const maxFileBytes = 64 * 1024 * 1024
const maxExportBytes = 4 * maxFileBytes
const maxFiles = 20_000
const maxFolders = 20_000

/**
 * Imports an export: one file of any name, or every `*.json` of a folder and the folders in it. Links to files are followed, links to
 * folders are told and left out.
 * Fails with `ERR_PROFILE_INVALID` when there is nothing to read, and with `ERR_LIMIT_EXCEEDED`, before reading it, for a file over
 * 64 MiB and for an export of over 256 MiB, 20,000 files or 20,000 folders. What the files hold is limited too: see `importGraph`.
 */
export async function loadExport(path: string): Promise<Import> {
  const { names, skipped } = await exportFiles(path)
  if (names.length === 0) throw new AgentError('ERR_PROFILE_INVALID', `${path}: expected *.json files in this folder, found none`)
  await refuseLarge(path, names)
  const files: ExportFile[] = []
  for (const name of names) files.push({ name: nameIn(path, name), bytes: await reading(name, () => readFile(name)) })
  const imported = importGraph(files)
  return { ...imported, findings: [...skipped.map((name) => skippedFile(nameIn(path, name))), ...imported.findings] }
}

/** Reads a tenant file; see `parseTenant`. Fails with `ERR_POLICY_INVALID`, naming file, line, column and what was expected. */
export async function loadTenant(path: string): Promise<Tenant> {
  await refuseLarge(path, [path])
  return parseTenant(await reading(path, () => readFile(path)), path)
}

interface Found {
  readonly names: string[]
  readonly skipped: string[]
}

async function exportFiles(path: string): Promise<Found> {
  if (!(await reading(path, () => stat(path))).isDirectory()) return { names: [path], skipped: [] }
  const found: Found = { names: [], skipped: [] }
  const folders = [path]
  for (const folder of folders) {
    const entries = await reading(folder, () => readdir(folder, { withFileTypes: true }))
    for (const entry of entries) {
      const name = join(folder, entry.name)
      const kind = entry.isSymbolicLink() ? await kindBehind(name) : kindOf(entry)
      if (entry.isDirectory()) folders.push(name)
      else if (kind === 'folder' || (kind === 'other' && isJson(name))) found.skipped.push(name)
      else if (isJson(name)) found.names.push(name)
    }
    if (found.names.length > maxFiles) throw tooMany(path, maxFiles, '*.json files')
    if (folders.length > maxFolders) throw tooMany(path, maxFolders, 'folders')
  }
  found.names.sort()
  return found
}

const isJson = (name: string): boolean => name.toLowerCase().endsWith('.json')

type Kind = 'file' | 'folder' | 'other'

function kindOf(entry: { isFile(): boolean; isDirectory(): boolean }): Kind {
  if (entry.isFile()) return 'file'
  return entry.isDirectory() ? 'folder' : 'other'
}

/** Links may lead in a circle or nowhere. */
async function kindBehind(link: string): Promise<Kind> {
  const behind = await stat(link).catch(() => undefined)
  return behind ? kindOf(behind) : 'other'
}

function tooMany(path: string, most: number, what: string): AgentError {
  return new AgentError('ERR_LIMIT_EXCEEDED', `${path}: expected at most ${most} ${what}, found more; name the folder of one export`)
}

/** Pipes and devices have no size, and may never end. */
async function refuseLarge(path: string, names: readonly string[]): Promise<void> {
  let bytes = 0
  for (const name of names) {
    const info = await reading(name, () => stat(name))
    if (!info.isFile()) throw new AgentError('ERR_PROFILE_INVALID', `${name}: expected a regular file`)
    if (info.size > maxFileBytes)
      throw new AgentError('ERR_LIMIT_EXCEEDED', `${name}: expected at most ${maxFileBytes} bytes, found ${info.size}`)
    bytes += info.size
  }
  if (bytes > maxExportBytes)
    throw new AgentError('ERR_LIMIT_EXCEEDED', `${path}: expected at most ${maxExportBytes} bytes in all files together, found ${bytes}`)
}

function nameIn(path: string, name: string): string {
  return relative(path, name) || basename(name)
}

function skippedFile(file: string): Finding {
  const message = 'neither a regular file nor a link to one; it is left out'
  return { id: 'file-skipped', severity: 'warning', file, message, action: 'put files in its place' }
}

async function reading<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    throw new AgentError(
      'ERR_PROFILE_INVALID',
      `${path}: expected a file or folder that can be read (${(cause as NodeJS.ErrnoException).code})`,
      { cause },
    )
  }
}
