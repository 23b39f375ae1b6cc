import type { Fact } from './fact.ts'
import { facts } from './facts.ts'
import { type System, systems, systemTitles } from './os.ts'
import { sources } from './sources.ts'

/** The facts as a Markdown page, one table a system. */
export function factsPage(): string {
  return `${[introduction, ...systems.map(systemSection), sourceSection()].join('\n\n')}\n`
}

const introduction = `# What each platform does

Generated from the fact rows in \`packages/platforms/src\` by \`npm run docs\`; change the rows, not this page.

*Sure*: **V** read in the source, **D** decoded from bytes that the source publishes, **I** inferred from the source, **K** general knowledge.
A **1** behind it: the source is the log or capture of a single device. Nothing here was tried on a device.`

function systemSection(system: System): string {
  const rows = facts.filter((fact) => fact.platforms.includes(system)).map(factRow)
  return [
    `## ${systemTitles[system]}`,
    '',
    '| Fact | Versions | What it does | Value | Source | Sure |',
    '|---|---|---|---|---|---|',
    ...rows,
  ].join('\n')
}

function factRow(fact: Fact): string {
  const sure = fact.singleLog ? `${fact.confidence} 1` : fact.confidence
  return `| ${[`\`${fact.id}\``, conditions(fact), fact.effect, `\`${valueText(fact.value)}\``, fact.source, sure].map(cell).join(' | ')} |`
}

function conditions(fact: Fact): string {
  return fact.management === undefined ? versions(fact) : `${versions(fact)}, ${fact.management.join(' or ')}`
}

function versions({ since, until }: Fact): string {
  if (since !== undefined && until !== undefined) return `${since} to below ${until}`
  if (since !== undefined) return `from ${since}`
  return until === undefined ? 'all' : `below ${until}`
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return value.join(', ')
  if (typeof value === 'object' && value !== null) return Object.values(value).join(': ')
  return value === '' ? '(nothing)' : String(value)
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

function sourceSection(): string {
  const rows = Object.entries(sources).map(([key, what]) => `| ${key} | ${what} |`)
  return ['## Sources', '', '| Key | What |', '|---|---|', ...rows].join('\n')
}
