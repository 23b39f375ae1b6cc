import { type Check, checkSources, checks, onEachSystem } from '@certfleet/platforms/conformance'
import { table, withParts } from './page-parts.ts'

/** The checks as the rows say them. */
export function conformancePage(): string {
  return withParts('docs/conformance.md', { checks: [countText(), ...topics().map(topicSection), sourceSection()].join('\n\n') })
}

function countText(): string {
  const all = onEachSystem(checks)
  const skipped = all.filter(({ notHere }) => notHere !== undefined).length
  return `${all.length} checks, of which ${skipped} have no place on their platform.`
}

const topicOf = ({ id }: Check): string => id.split('.')[0] as string

function topics(): readonly string[] {
  return [...new Set(checks.map(topicOf))]
}

function topicSection(topic: string): string {
  const rows = checks
    .filter((check) => topicOf(check) === topic)
    .map(({ id, on, given, expect, source, facts = [] }) => [
      `\`${id}\``,
      on.join(', '),
      given,
      expect,
      [source, ...facts.map((fact) => `\`${fact}\``)].join('; '),
    ])
  return `### ${topic}\n\n${table(
    ['Check', 'On', 'Given', 'Expected', 'Source'],
    rows.map((row) => row.map(cell)),
  )}`
}

const cell = (text: string): string => text.replaceAll('|', '\\|')

function sourceSection(): string {
  const used = new Set(checks.flatMap(({ source }) => source.split('; ').map((one) => one.split(' ')[0] as string)))
  const rows = Object.entries(checkSources).filter(([key]) => used.has(key))
  return `### Sources\n\n${table(['Key', 'What'], rows)}`
}
