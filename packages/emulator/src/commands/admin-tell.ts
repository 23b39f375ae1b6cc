import { printable } from '../report/printable.ts'
import type { GraphObject } from './admin-client.ts'
import type { Io } from './io.ts'

/** The heading of each column and what stands in it. */
export type Columns = readonly (readonly [heading: string, cell: (row: GraphObject) => unknown])[]

export const profileColumns: Columns = [
  ['id', (row) => row.id],
  ['type', (row) => String(row['@odata.type'] ?? '').replace(/^#microsoft\.graph\./, '')],
  ['name', (row) => row.displayName],
  ['assigned to', ({ assignments }) => (Array.isArray(assignments) ? assignments.map(targetText).join(', ') : undefined)],
  ['source', (row) => row['@certfleet.source'] ?? 'api'],
]

export const deviceColumns: Columns = [
  ['id', (row) => row.id],
  ['system', (row) => `${row.operatingSystem} ${row.osVersion}`],
  ['user', (row) => row.userPrincipalName],
  ['state', (row) => (row.managementState === 'managed' ? row.deviceRegistrationState : row.managementState)],
  ['last check-in', (row) => momentText(row.lastSyncDateTime)],
]

export const certificateColumns: Columns = [
  ['device', (row) => row['@certfleet.deviceId']],
  ['profile', (row) => row.certificateProfileDisplayName],
  ['state', (row) => (row.certificateRevokeStatus === 'revoked' ? 'revoked' : row.certificateIssuanceState)],
  ['serial number', (row) => row.certificateSerialNumber],
  ['expires', (row) => momentText(row.certificateExpirationDateTime)],
  ['error', (row) => row['@certfleet.errorCode']],
]

export const pfxColumns: Columns = [
  ['id', (row) => row.id],
  ['user', (row) => row.userPrincipalName],
  ['purpose', (row) => row.intendedPurpose],
  ['thumbprint', (row) => row.thumbprint],
  ['expires', (row) => momentText(row.expirationDateTime)],
  ['imported', (row) => momentText(row.createdDateTime)],
]

/** One JSON document `{ <name>: rows }`, or a table. */
export function tellRows(name: string, rows: readonly GraphObject[], columns: Columns, json: boolean, io: Io): void {
  if (json) io.out(`${JSON.stringify({ [name]: rows })}\n`)
  else if (rows.length === 0) io.out(`no ${name}\n`)
  else io.out(`${table(rows, columns).join('\n')}\n`)
}

/** A line break from outside would look like another row. */
function table(rows: readonly GraphObject[], columns: Columns): string[] {
  const cells = rows.map((row) => columns.map(([, cell]) => printable(String(cell(row) ?? '-').replaceAll('\n', ' ')) || '-'))
  const lines = [columns.map(([heading]) => heading), ...cells]
  const widths = columns.map((_, column) => lines.reduce((widest, line) => Math.max(widest, line[column]?.length ?? 0), 0))
  return lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

function momentText(value: unknown): string | undefined {
  return typeof value === 'string' && !value.startsWith('0001-') ? value.replace(/\.\d+Z$/, 'Z') : undefined
}

function targetText({ target }: { readonly target: GraphObject }): string {
  const kind = String(target['@odata.type']).replace(/^#microsoft\.graph\.|AssignmentTarget$/g, '')
  if (kind === 'allDevices') return 'all devices'
  if (kind === 'allLicensedUsers') return 'all users'
  return `${kind === 'exclusionGroup' ? 'not ' : ''}group ${target.groupId}`
}
