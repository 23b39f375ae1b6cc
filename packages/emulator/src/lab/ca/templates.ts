import { AgentError } from '@certfleet/agent-core'
import { isOid } from '@certfleet/agent-core/der'
import type { KeyUsageBit } from '@certfleet/agent-core/pki'
import { caFacts, says } from '@certfleet/platforms'
import { connectorAccount, ndesAccount } from './accounts.ts'

/** What a template may put into key usage; nonRepudiation has a switch of its own, and no template makes a CA. */
export type TemplateKeyUsage = Exclude<KeyUsageBit, 'nonRepudiation' | 'keyCertSign' | 'cRLSign'>

/** A certificate template as the CA has it (S48, S49). */
export interface CertificateTemplate {
  /** What NDES's registry and requests call it by (S55): 1 to 64 printable ASCII characters; upper and lower case are the same. */
  readonly name: string
  /** What a person sees; nothing is looked up by it. */
  readonly displayName: string
  /** The subject comes from the validated request (S48); no other way is modelled. */
  readonly subject: 'supplied-in-request'
  /** Extended key usages, dotted OIDs, 1 to 500. Default: those that were validated for the request. */
  readonly applicationPolicies?: readonly string[]
  /** At least one. Default: those that were validated for the request. */
  readonly keyUsages?: readonly TemplateKeyUsage[]
  /** Adds nonRepudiation, which iOS and macOS must not get (S49). */
  readonly signatureIsProofOfOrigin: boolean
  /** Lifetime of a certificate, at least a second. */
  readonly validityMs: number
  /**
   * How long before its end a certificate is to be renewed; 0 up to, not including, `validityMs`. Windows autoenrolment alone acts on it,
   * which no SCEP client is.
   */
  readonly renewalPeriodMs: number
  /** Of an RSA key, 1024 to 8192. P-256 counts as 3072 and P-384 as 7680 (NIST SP 800-57 part 1, table 2). */
  readonly minKeyBits: number
  /** Names of the accounts that have Enroll. */
  readonly enrollAccounts: readonly string[]
  /** The CA has it among its "Certificate Templates to Issue"; without that it is as good as not there. Default true. */
  readonly published?: boolean | undefined
}

/** iOS, iPadOS and macOS, by the name that a device registered with; for them S49 and S51 hold. */
export function isApple(platform: string): boolean {
  return /^(ios|ipados|macos)$/i.test(platform)
}

export interface Templates {
  /** The published one of that name; never by display name (S55). */
  find(name: string): CertificateTemplate | undefined
  /** The built-in one first, those that are not published too. */
  list(): readonly CertificateTemplate[]
}

/** The template that is there without being given: what was validated is issued, client authentication where nothing was named. */
export const defaultTemplateName = 'CertfleetDevice'

const dayMs = 86_400_000

/** Six weeks, at most a fifth of the validity. */
export function defaultRenewalPeriodMs(validityMs: number): number {
  return Math.min(42 * dayMs, Math.floor(validityMs / 5))
}

function builtIn(validityMs: number): CertificateTemplate {
  return {
    name: defaultTemplateName,
    displayName: 'certfleet device',
    subject: says(caFacts.templateSubject, {}),
    signatureIsProofOfOrigin: false,
    validityMs,
    renewalPeriodMs: defaultRenewalPeriodMs(validityMs),
    minKeyBits: 1024,
    enrollAccounts: [ndesAccount, connectorAccount],
  }
}

/** The built-in template with this lifetime, and those given. One that cannot be, or a name twice: `ERR_POLICY_INVALID`. */
export function openTemplates(given: readonly CertificateTemplate[], defaultValidityMs: number): Templates {
  const byName = new Map<string, CertificateTemplate>()
  for (const template of [builtIn(defaultValidityMs), ...given]) {
    const problem = problemOf(template) ?? (byName.has(template.name.toLowerCase()) ? 'there are two of that name' : undefined)
    if (problem !== undefined) throw new AgentError('ERR_POLICY_INVALID', `certificate template "${shown(template)}": ${problem}`)
    byName.set(template.name.toLowerCase(), template)
  }
  const toIssue = new Map([...byName].filter(([, { published }]) => published !== false))
  return { find: (name) => toIssue.get(name.toLowerCase()), list: () => [...byName.values()] }
}

export const templateKeyUsages: Readonly<Record<TemplateKeyUsage, true>> = {
  digitalSignature: true,
  keyEncipherment: true,
  dataEncipherment: true,
  keyAgreement: true,
  encipherOnly: true,
  decipherOnly: true,
}

/** Longer lifetimes would run past what a certificate can say. */
const maxValidityMs = 100 * 365 * dayMs

/** They come from a file as often as from code, so that types alone vouch for nothing. */
function problemOf(template: CertificateTemplate): string | undefined {
  const { name, subject, applicationPolicies: policies, keyUsages, validityMs, renewalPeriodMs, minKeyBits } = template
  // CM-CP: with a name that is not ASCII no certificate is deployed.
  if (!/^[\x20-\x7e]{1,64}$/.test(name)) return 'its name is not 1 to 64 printable ASCII characters'
  if (subject !== says(caFacts.templateSubject, {})) return 'its subject is not supplied in the request (S48)'
  if (!isWithin(validityMs, 1000, maxValidityMs)) return 'its validity is not between a second and 100 years'
  if (!isWithin(renewalPeriodMs, 0, validityMs - 1)) return 'its renewal period is negative or not shorter than its validity'
  if (!isWithin(minKeyBits, 1024, 8192)) return 'its minimum key size is not between 1024 and 8192 bits'
  if (policies && (policies.length === 0 || policies.length > 500 || !policies.every(isOid)))
    return 'its application policies are not 1 to 500 dotted OIDs'
  if (keyUsages && (keyUsages.length === 0 || !keyUsages.every((usage) => Object.hasOwn(templateKeyUsages, usage))))
    return 'its key usages are none, or not such as a template can have'
  return undefined
}

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= least && value <= most
}

function shown({ name }: CertificateTemplate): string {
  return String(name)
    .slice(0, 64)
    .replace(/[^\x20-\x7e]/gu, '?')
}
