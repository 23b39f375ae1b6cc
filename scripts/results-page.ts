import { resultsJsonSchema } from '@certfleet/emulator/fleet'
import { table } from './page-parts.ts'

/** What this page needs of JSON Schema, and all that zod makes of ours. */
interface Schema {
  readonly $ref?: string
  readonly description?: string
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly string[]
  readonly anyOf?: readonly Schema[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly propertyNames?: Schema
  readonly additionalProperties?: Schema | false
  readonly $defs?: Readonly<Record<string, Schema>>
}

/** The schema file as it stands in the package. */
export function resultsSchemaFile(): string {
  return `${JSON.stringify(resultsJsonSchema(), null, 2)}\n`
}

/** Every member of `results.json` and what it means, as a Markdown page. */
export function resultsPage(): string {
  const schema = resultsJsonSchema() as Schema
  const defined = Object.entries(schema.$defs ?? {}).map(([name, definition]) => definitionPart(name, definition))
  const parts = partsOf('', schema).map(({ path, of }) => part(path, of))
  return `${[introduction, ...parts, ...defined].join('\n\n')}\n`
}

const introduction = `# results.json

Generated from the schemas in \`packages/emulator/src/report\` by \`npm run docs\`; change the descriptions there, not this page. The same as JSON Schema (draft 2020-12): \`schema/results.schema.json\` in the package \`@certfleet/emulator\`.

\`certfleet run --out DIR\` writes it to the folder, \`certfleet run --json\` prints it, and \`certfleet report\` shows it again as text, as a page with plots, or as JUnit. Lengths of time are milliseconds; moments are milliseconds since the start of the run. It holds no key, challenge or password.`

function part(path: string, { description, properties = {}, required = [] }: Schema): string {
  const rows = Object.entries(properties).map(([name, member]) => [
    `\`${name}\``,
    `${typeText(member)}${required.includes(name) ? '' : ', optional'}`,
    cell(member.description),
  ])
  const about = path !== '' && description !== undefined ? [description] : []
  return [`## ${path === '' ? 'The document' : `\`${path}\``}`, ...about, table(['Member', 'Type', 'Meaning'], rows)].join('\n\n')
}

function definitionPart(name: string, definition: Schema): string {
  if (definition.properties) return part(name, definition)
  const values = (definition.enum ?? []).map((value) => `\`${value}\``).join(', ')
  return [`## \`${name}\``, definition.description, `${values}.`].join('\n\n')
}

/** The objects within, each under the path that leads there. */
function partsOf(path: string, schema: Schema): { path: string; of: Schema }[] {
  const own = schema.properties === undefined ? [] : [{ path, of: schema }]
  const inner = Object.entries(schema.properties ?? {}).flatMap(([name, member]) => partsOf(path === '' ? name : `${path}.${name}`, member))
  const items = schema.items === undefined ? [] : partsOf(`${path}[]`, schema.items)
  const values = schema.additionalProperties ? partsOf(`${path}.*`, schema.additionalProperties) : []
  return [...own, ...inner, ...items, ...values]
}

function typeText(schema: Schema): string {
  if (schema.$ref !== undefined) return `\`${schema.$ref.split('/').at(-1)}\``
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ')
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeText).join(' or ')
  if (schema.items !== undefined) return `list of ${typeText(schema.items)}`
  if (schema.properties !== undefined) return 'object'
  if (schema.additionalProperties) return `${typeText(schema.additionalProperties)} by ${keyText(schema.propertyNames)}`
  return schema.type ?? 'anything'
}

function keyText(names: Schema | undefined): string {
  return names === undefined || (names.$ref === undefined && names.enum === undefined) ? 'name' : typeText(names)
}

const cell = (text = ''): string => text.replaceAll('|', '\\|')
