import type { Fact } from './fact.ts'
import { facts } from './facts.ts'
import { type Subject, systems } from './os.ts'
import { isOverridable } from './overrides.ts'
import { sources } from './sources.ts'
import { possibleText, subjectTexts, valueText, versionsText } from './text.ts'
import { factTopics } from './topics.ts'

/** The facts as a Markdown page, one table a topic. */
export function factsPage(): string {
  return `${[introduction, ...factTopics(facts).map(topicSection), sourceSection()].join('\n\n')}\n`
}

const introduction = `# What each platform does

Generated from the fact rows in \`packages/platforms/src\` by \`npm run docs\`; change the rows, not this page. \`certfleet facts\` prints the
same rows, of one platform and version if you like.

*Sure*: **V** read in the source, **D** decoded from bytes that the source publishes, **I** inferred from the source, **K** general knowledge.
A **1** behind it: the source is the log or capture of a single device. Nothing here was tried on a device.

*Override*: what \`--fact ID=VALUE\` of \`certfleet run\`, \`enroll\` and \`lab\`, or the key \`facts\` of a scenario, may say instead. Facts that
were read in their source stand.`

function topicSection({ title, facts: rows }: { readonly title: string; readonly facts: readonly Fact[] }): string {
  return [
    `## ${title}`,
    '',
    '| Fact | Of | Versions | What it does | Value | Override | Source | Sure |',
    '|---|---|---|---|---|---|---|---|',
    ...rows.map(factRow),
  ].join('\n')
}

function factRow(fact: Fact): string {
  const sure = fact.singleLog ? `${fact.confidence} 1` : fact.confidence
  const override = isOverridable(fact) ? possibleText(fact) : ''
  const value = `\`${valueText(fact.value)}\``
  const cells = [`\`${fact.id}\``, subjectsText(fact.platforms), versionsText(fact), fact.effect, value, override, fact.source, sure]
  return `| ${cells.map(cell).join(' | ')} |`
}

function subjectsText(subjects: readonly Subject[]): string {
  const isEverySystem = systems.every((system) => subjects.includes(system))
  const rest = isEverySystem ? subjects.filter((subject) => subject === 'service') : subjects
  return [...(isEverySystem ? ['all systems'] : []), ...rest.map((subject) => subjectTexts[subject])].join(', ')
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

function sourceSection(): string {
  const rows = Object.entries(sources).map(([key, what]) => `| ${key} | ${what} |`)
  return ['## Sources', '', '| Key | What |', '|---|---|', ...rows].join('\n')
}
