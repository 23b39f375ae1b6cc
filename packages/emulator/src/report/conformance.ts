import type { CheckResult } from '@certfleet/platforms/conformance'

const header = ['platform', 'checks', 'passed', 'failed', 'skipped']

/** The end of a conformance run for people: a table by platform, then every check that failed or was skipped, and why. */
export function renderConformance(results: readonly CheckResult[]): string {
  const platforms = [...new Set(results.map(({ platform }) => platform))]
  const rows = platforms.map((platform) => [platform, ...cells(results.filter((result) => result.platform === platform))])
  const all = platforms.length === 1 ? [] : [['all', ...cells(results)]]
  return [...table([header, ...rows, ...all]), ...failures(results), ...skips(results)].join('\n')
}

/** Whether no check failed. */
export function isConformant(results: readonly CheckResult[]): boolean {
  return results.every(({ status }) => status !== 'failed')
}

function cells(results: readonly CheckResult[]): string[] {
  const count = (status: CheckResult['status']) => results.filter((result) => result.status === status).length
  return [results.length, count('passed'), count('failed'), count('skipped')].map(String)
}

function failures(results: readonly CheckResult[]): string[] {
  return results
    .filter(({ status }) => status === 'failed')
    .flatMap(({ platform, id, reason, source }) => ['', `failed  ${platform}  ${id}`, `  ${reason}`, `  ${source}`])
}

/** Many checks are skipped for one reason. */
function skips(results: readonly CheckResult[]): string[] {
  const skipped = results.filter(({ status }) => status === 'skipped')
  const reasons = [...new Set(skipped.map(({ reason }) => reason))]
  return reasons.flatMap((reason) => {
    const here = skipped.filter((result) => result.reason === reason).map(({ platform, id }) => `${platform} ${id}`)
    return ['', `skipped: ${reason}`, `  ${here.join(', ')}`]
  })
}

/** First column to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = header.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const pad = (cell: string, column: number) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))
  return rows.map((row) => row.map(pad).join('  ').trimEnd())
}
