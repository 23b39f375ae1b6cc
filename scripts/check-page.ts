import { ruleFindings } from '#emulator/check/finding-ids.ts'
import { table, withParts } from './page-parts.ts'

/** docs/check.md with a row for each finding of the check. */
export function checkPage(): string {
  const rows = Object.entries(ruleFindings).map(([id, about]) => [`\`${id}\``, about])
  return withParts('docs/check.md', { findings: table(['id', 'about'], rows) })
}
