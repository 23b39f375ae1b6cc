import { isOid } from '@certfleet/agent-core/der'
import { z } from 'zod'
import { connectorAccount, ndesAccount } from '../lab/ca/accounts.ts'
import { defaultRenewalPeriodMs, type TemplateKeyUsage, templateKeyUsages } from '../lab/ca/templates.ts'
import { type CertificateTemplate, defaultTemplateName, type Lab, type NdesRegistry } from '../lab/index.ts'
import { parseYaml, readText } from '../scenario/load.ts'

type TemplateValues = Pick<NdesRegistry, 'SignatureTemplate' | 'EncryptionTemplate' | 'GeneralPurposeTemplate'>

/** What `--templates` says of CA and NDES. */
export interface LabCa {
  readonly templates: readonly CertificateTemplate[]
  readonly registry: TemplateValues
}

const dayMs = 86_400_000
const accounts = [ndesAccount, connectorAccount] as const
const usages = Object.keys(templateKeyUsages) as TemplateKeyUsage[]
const oneOf = (values: readonly string[]) => `expected one of ${values.join(', ')}`

// CM-CP: with a name that is not ASCII no certificate is deployed.
const name = z.string('expected text').regex(/^[\x20-\x7e]{1,64}$/, 'expected 1 to 64 printable ASCII characters')
const templateShape = z
  .strictObject({
    name,
    displayName: z.string('expected text').min(1, 'expected a value').exactOptional(),
    validityDays: z.int().min(1).max(36_500),
    renewalPeriodDays: z.int().min(0).optional(),
    minKeyBits: z.int().min(1024).max(8192).default(2048),
    keyUsages: z
      .array(z.enum(usages, oneOf(usages)), 'expected a list')
      .min(1, 'expected one at least')
      .exactOptional(),
    applicationPolicies: z
      .array(z.string('expected a dotted OID').refine(isOid, 'expected a dotted OID'), 'expected a list')
      .min(1, 'expected one at least')
      .max(500, 'expected at most 500')
      .exactOptional(),
    enrollAccounts: z.array(z.enum(accounts, oneOf(accounts)), 'expected a list').default([...accounts]),
    signatureIsProofOfOrigin: z.boolean('expected true or false').default(false),
  })
  .superRefine(({ validityDays, renewalPeriodDays }, { addIssue }) => {
    if (renewalPeriodDays !== undefined && renewalPeriodDays >= validityDays)
      addIssue({ code: 'custom', path: ['renewalPeriodDays'], message: `expected fewer than the ${validityDays} days of validity` })
  })

type TemplateShape = z.output<typeof templateShape>

const registered = name.default(defaultTemplateName)

const caShape = z
  .strictObject({
    templates: z.array(templateShape, 'expected a list').default([]),
    registry: z
      .strictObject({ SignatureTemplate: registered, EncryptionTemplate: registered, GeneralPurposeTemplate: registered })
      .prefault({}),
  })
  .superRefine(
    (file, { addIssue }) => {
      for (const issue of referenceProblems(file)) addIssue({ code: 'custom', ...issue })
    },
    // With other problems too, so that all are told at once.
    { when: () => true },
  )

/**
 * Reads `templates` and `registry` of a file; what it leaves out is as in a lab without one. What cannot be used: `InputError` with
 * `file:line:column`, every problem at once.
 */
export async function readLabCa(file: string | undefined): Promise<LabCa> {
  const text = file === undefined ? '' : await readText(file, 'certificate templates')
  const { templates, registry } = parseYaml(text, file ?? '', caShape, 'certfleet lab --help').value
  return { templates: templates.map(templateOf), registry }
}

/** The state folder remembers the registry of the last time, and the command line decides. */
export async function setRegistry({ ndes }: Lab, registry: TemplateValues): Promise<void> {
  const present = ndes.registry()
  const names = Object.keys(registry) as (keyof TemplateValues)[]
  if (names.every((value) => present[value] === registry[value])) return
  await ndes.setRegistry(registry)
  await ndes.restartIis()
}

function templateOf({ validityDays, renewalPeriodDays, ...template }: TemplateShape): CertificateTemplate {
  const validityMs = validityDays * dayMs
  return {
    displayName: template.name,
    subject: 'supplied-in-request',
    ...template,
    validityMs,
    renewalPeriodMs: renewalPeriodDays === undefined ? defaultRenewalPeriodMs(validityMs) : renewalPeriodDays * dayMs,
  }
}

interface Problem {
  readonly path: PropertyKey[]
  readonly message: string
}

/** Of a file that may have other problems: members can be anything. Upper and lower case of a name are the same to a CA. */
function referenceProblems(file: unknown): Problem[] {
  const { templates, registry } = Object(file) as { templates?: unknown; registry?: unknown }
  const names = (Array.isArray(templates) ? templates : []).map((template: unknown) => nameIn(Object(template).name))
  const known = [nameIn(defaultTemplateName), ...names]
  const twice = names.flatMap((own, i) =>
    own !== undefined && known.indexOf(own) <= i
      ? [{ path: ['templates', i, 'name'], message: 'there are two templates of that name' }]
      : [],
  )
  const unknown = Object.entries(Object(registry)).flatMap(([value, template]) =>
    nameIn(template) === undefined || known.includes(nameIn(template))
      ? []
      : [
          {
            path: ['registry', value],
            message: `expected the name, not the display name, of a template of this file, or ${defaultTemplateName}`,
          },
        ],
  )
  return [...twice, ...unknown]
}

function nameIn(value: unknown): string | undefined {
  return typeof value === 'string' ? value.toLowerCase() : undefined
}
