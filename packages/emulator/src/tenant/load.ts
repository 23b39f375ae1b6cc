import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { AgentError } from '@certfleet/agent-core'
import type { ExportFile } from './documents.ts'
import { importGraph } from './import.ts'
import { parseTenant } from './tenant-file.ts'
import type { Tenant } from './tenant-types.ts'
import type { Import } from './types.ts'

const maxFileBytes = 64 * 1024 * 1024
const maxFiles = 20_000

/**
 * Imports an export: one file of any name, or every `*.json` of a folder and the folders in it.
 * Fails with `ERR_PROFILE_INVALID` when there is nothing to read, and with `ERR_LIMIT_EXCEEDED` for a file over 64 MiB, before reading it.
 */
export async function loadExport(path: string): Promise<Import> {
  const names = await exportFiles(path)
  if (names.length === 0) throw new AgentError('ERR_PROFILE_INVALID', `${path}: expected *.json files in this folder, found none`)
  const files: ExportFile[] = []
  for (const name of names) files.push({ name: relative(path, name) || basename(name), bytes: await readLimited(name) })
  return importGraph(files)
}

/** Reads a tenant file; see `parseTenant`. Fails with `ERR_POLICY_INVALID`, naming file, line, column and what was expected. */
export async function loadTenant(path: string): Promise<Tenant> {
  return parseTenant(await readLimited(path), path)
}

async function exportFiles(path: string): Promise<string[]> {
  const info = await reading(path, () => stat(path))
  if (!info.isDirectory()) return [path]
  const entries = await reading(path, () => readdir(path, { recursive: true, withFileTypes: true }))
  const names = entries
    .filter((entry) => entry.isFile() && entry.name.toLowerCase().endsWith('.json'))
    .map((entry) => join(entry.parentPath, entry.name))
  if (names.length > maxFiles)
    throw new AgentError('ERR_LIMIT_EXCEEDED', `${path}: expected at most ${maxFiles} files, found ${names.length}`)
  return names.sort()
}

async function readLimited(path: string): Promise<Uint8Array> {
  const { size } = await reading(path, () => stat(path))
  if (size > maxFileBytes) throw new AgentError('ERR_LIMIT_EXCEEDED', `${path}: expected at most ${maxFileBytes} bytes, found ${size}`)
  return reading(path, () => readFile(path))
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
