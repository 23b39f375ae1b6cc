import { type JsonSchema, type KeyRow, keyRows, latencyStats, metricRows, scenarioJsonSchema } from '@certfleet/emulator/fleet'
import { stringify } from 'yaml'
import { table } from './page-parts.ts'

export function scenarioSchemaFile(): string {
  return `${JSON.stringify(scenarioJsonSchema(), null, 2)}\n`
}

/** What the schema of scenarios says, for people. */
export function scenarioPage(): string {
  const { properties = {} } = scenarioJsonSchema()
  return `${[introduction, ...Object.entries(properties).map(([key, schema]) => section(key, schema)), thresholds()].join('\n\n')}\n`
}

const introduction = `# Scenarios

Generated from the schema of scenarios by \`npm run docs\`; change \`packages/emulator/src/scenario\`, not this page.

A scenario is a YAML file that \`certfleet run FILE\` takes. Every key is optional, no other is allowed, and options of the command win over the
file. Paths are relative to the file. \`certfleet init\` writes one with every key, commented. What cannot be used is told before anything runs,
everything at once, each with file, line and column.

Editors that know \`yaml-language-server\` complete and check a scenario whose first line is
\`# yaml-language-server: $schema=PATH\`, where PATH leads to \`schema/scenario.schema.json\` of the package \`@certfleet/emulator\`, as
\`certfleet init\` writes it. \`certfleet init --schema\` prints that schema.

A duration is a number with a unit: \`500ms\`, \`30s\`, \`1.5m\`, \`2h\`, \`1d\`; 365 days at most.`

function section(key: string, schema: JsonSchema): string {
  const [own, ...inner] = keyRows(key, schema) as [KeyRow, ...KeyRow[]]
  const rows = inner.map(({ path, type, description }) => [`\`${path}\``, escaped(type), escaped(description)])
  return [
    `## ${key}`,
    escaped(own.description),
    `Type: ${own.type}.`,
    ...(rows.length > 0 ? [table(['Key', 'Type', 'Meaning'], rows)] : []),
    ...(schema.examples ? [example(key, schema.examples)] : []),
  ].join('\n\n')
}

const escaped = (text: string): string => text.replaceAll('|', '\\|')

function example(key: string, samples: readonly unknown[]): string {
  const texts = samples.map((sample) => stringify({ [key]: sample }, { lineWidth: 0 }).trimEnd())
  return texts.map((text) => `\`\`\`yaml\n${text}\n\`\`\``).join('\n\n')
}

function thresholds(): string {
  return `## The metrics of thresholds

\`METRIC OP VALUE\`, where OP is one of \`<\`, \`<=\`, \`>\`, \`>=\`, \`==\` and \`!=\`. A platform in front asks for its devices alone: \`ios.enrollment.p99 < 2s\`.
Where nothing was measured, a threshold does not hold. \`invariants == 0\` is added to what is given unless that names \`invariants\`.

A figure is one of ${latencyStats.map((name) => `\`${name}\``).join(', ')}. Latency of an enrolment counts from when its device was due.

${table(
  ['Metric', 'Value', 'By platform', 'What it is'],
  metricRows.map(({ name, value, byPlatform, says }) => [`\`${name}\``, `\`${value}\``, byPlatform ? 'yes' : '', says]),
)}`
}
