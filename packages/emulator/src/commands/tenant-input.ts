import { fileURLToPath } from 'node:url'
import { InputError } from '../scenario/input-error.ts'
import type { Population } from '../scenario/population.ts'
import {
  type Finding,
  generateTenant,
  type Import,
  loadExport,
  loadTenant,
  type ManagementByPlatform,
  type Tenant,
} from '../tenant/index.ts'
import { readingInput } from './options.ts'

/** The Graph JSON of the example tenant, which the package ships. */
const exampleProfiles = fileURLToPath(new URL('../../examples/contoso/graph', import.meta.url))
/** Of the users that certfleet makes up. */
export const generatedDomain = 'contoso.example'
const maxShown = 20

export interface TenantFiles {
  /** File or folder of Graph JSON. Default: the example's. */
  readonly profiles?: string | undefined
  /** Tenant YAML. Default: a generated tenant. */
  readonly tenant?: string | undefined
  /** Of a generated tenant. */
  readonly management?: ManagementByPlatform | undefined
}

/** What an import says of these is not a profile that fails on its devices, but a file to be corrected first. */
const blocking: ReadonlySet<Finding['id']> = new Set([
  'file-malformed',
  'links-file-invalid',
  'profile-invalid',
  'assignment-invalid',
  'assignment-profile-unknown',
  'multi-factor-profile',
])

/**
 * Reads profiles and tenant for a run. A file that is malformed: `InputError`, naming file, path and what was expected, before
 * anything runs.
 */
export async function readTenant(files: TenantFiles, population: Population): Promise<{ imported: Import; tenant: Tenant }> {
  const imported = await readingInput(() => loadExport(files.profiles ?? exampleProfiles))
  refuseMalformed(imported.findings)
  const tenant = await readingInput(() =>
    files.tenant
      ? loadTenant(files.tenant)
      : generateTenant({ kinds: population, domain: generatedDomain, ...(files.management && { management: files.management }) }),
  )
  return { imported, tenant }
}

export function refuseMalformed(findings: readonly Finding[]): void {
  const bad = findings.filter(({ id, severity }) => severity === 'error' && blocking.has(id))
  if (bad.length === 0) return
  const more = bad.length > maxShown ? [`and ${bad.length - maxShown} more; "certfleet check" shows all`] : []
  throw new InputError([...bad.slice(0, maxShown).map(({ action: _, ...finding }) => findingText(finding)), ...more].join('\n'))
}

/** `file path: "profile": message; action` */
export function findingText({
  file,
  path,
  profile,
  message,
  action,
}: Pick<Finding, 'file' | 'path' | 'profile' | 'message' | 'action'>): string {
  return `${file}${path ? ` ${path}` : ''}: ${profile ? `"${profile}": ` : ''}${message}${action ? `; ${action}` : ''}`
}
