import type { Command } from 'commander'
import { printable } from '../report/printable.ts'
import {
  assignProfiles,
  type Finding,
  type Import,
  type Intent,
  loadExport,
  loadTenant,
  renderPolicy,
  type Tenant,
} from '../tenant/index.ts'
import type { ExitCode, Io } from './io.ts'
import { readingInput } from './options.ts'
import { findingText } from './tenant-input.ts'

interface CheckOptions {
  readonly tenant?: string
  readonly json?: true
}

/** A finding about an export, or about what one device of the tenant gets of it. */
type CheckFinding = (Finding | (Omit<Finding, 'id'> & { readonly id: 'delivery-failed' })) & { readonly device?: string }

const examples = `
Examples:
  $ certfleet check export/
  $ certfleet check export/ --tenant tenant.yaml --json

Exit code 1 when a finding is an error, 2 when the path cannot be read.`

export function defineCheck(program: Command, io: Io, end: (code: ExitCode) => void): void {
  program
    .command('check')
    .description('Tell what is read in a Graph export of Trusted, SCEP, PKCS and imported PFX profiles, and what is wrong with it')
    .argument('<path>', 'file or folder of Graph JSON')
    .option('--tenant <file>', 'tenant YAML: also tell what each of its devices would not get')
    .option('--json', 'print one JSON document on stdout')
    .addHelpText('after', examples)
    .action(async (path: string, options: CheckOptions) => end(await check(path, options, io)))
}

async function check(path: string, { tenant: file, json }: CheckOptions, io: Io): Promise<ExitCode> {
  const imported = await readingInput(() => loadExport(path))
  const findings = [...imported.findings, ...(file ? tenantFindings(imported, await readingInput(() => loadTenant(file))) : [])]
  const errors = findings.filter(({ severity }) => severity === 'error').length
  const profiles = imported.profiles.map(({ id, displayName, kind, platform, family, file: source }) => ({
    id,
    displayName,
    kind,
    platform,
    family,
    file: source,
  }))
  if (json) io.out(`${JSON.stringify({ profiles, findings, errors })}\n`)
  else
    io.out(
      printable(
        `${profileLines(imported)}${findingLines(findings)}${profiles.length} profiles, ${findings.length} findings, ${errors} errors\n`,
      ),
    )
  return errors > 0 ? 1 : 0
}

function tenantFindings(imported: Import, tenant: Tenant): CheckFinding[] {
  const { intent, findings } = assignProfiles(imported, tenant)
  const files = new Map(imported.profiles.map(({ id, file, path }) => [id, { file, path }]))
  return [...findings, ...[...tenant.devices.keys()].flatMap((device) => deliveryFindings(device, intent, tenant, files))]
}

function deliveryFindings(
  device: string,
  intent: Intent,
  tenant: Tenant,
  files: ReadonlyMap<string, { file: string; path: string }>,
): CheckFinding[] {
  return renderPolicy(intent, tenant, device, { revision: 1, importedRevision: anyImport }).failedProfiles.map(
    ({ id, displayName, message }) => {
      const { file, path } = files.get(id) ?? { file: tenant.file, path: '' }
      return { id: 'delivery-failed', severity: 'error', device, profile: displayName, message, file, ...(path && { path }) }
    },
  )
}

/** What was imported for whom is in no export. */
const anyImport = () => 'any'

function profileLines({ profiles }: Import): string {
  return profiles.map(({ kind, platform, displayName, file }) => `${kind}  ${platform}  "${displayName}"  ${file}\n`).join('')
}

function findingLines(findings: readonly CheckFinding[]): string {
  return findings
    .map((finding) => `${finding.severity}  ${finding.device ? `${finding.device}: ` : ''}${findingText(finding)} [${finding.id}]\n`)
    .join('')
}
