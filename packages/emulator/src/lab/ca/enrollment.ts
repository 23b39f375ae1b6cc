import { importPublicKey } from '@certfleet/agent-core/pki'
import { ndesFacts, says } from '@certfleet/platforms'
import { type Accounts, ndesAccount } from './accounts.ts'
import { type CertificateTemplate, defaultTemplateName, type Templates } from './templates.ts'

/** By which template, for whom. */
export interface EnrollmentBy {
  /** Its name. Default: the built-in one. */
  readonly template?: string | undefined
  /** Default `ndes`. */
  readonly account?: string | undefined
}

/** The CA's no, before anybody is asked to approve: an HRESULT as Windows has it, unsigned. */
export interface EnrollmentDenial {
  readonly hresult: number
  readonly detail: string
}

/** winerror.h. */
export const caHresult = {
  /** CERTSRV_E_ENROLL_DENIED: no Request Certificates at the CA. */
  enrollDenied: 0x80094011,
  /** CERTSRV_E_TEMPLATE_DENIED: no Enroll on the template. */
  templateDenied: 0x80094012,
  /** CERTSRV_E_UNSUPPORTED_CERT_TYPE: the CA does not issue by such a template. */
  unsupportedTemplate: 0x80094800,
  /** CERTSRV_E_KEY_LENGTH. */
  keyLength: says(ndesFacts.keyLength, {}),
} as const

/** The template that a request is issued by, if the CA has it, the account may use it, and the key is long enough. */
export function permittedTemplate(
  { template: name = defaultTemplateName, account = ndesAccount }: EnrollmentBy,
  publicKey: Uint8Array,
  { templates, accounts }: { readonly templates: Templates; readonly accounts: Accounts },
): CertificateTemplate | EnrollmentDenial {
  const template = templates.find(name)
  if (!accounts.mayRequest(account)) return deny('enrollDenied', `account "${account}" may not request certificates of this CA`)
  if (template === undefined) return deny('unsupportedTemplate', `the CA issues by no certificate template of the name "${name}"`)
  if (!template.enrollAccounts.includes(account))
    return deny('templateDenied', `account "${account}" has no enroll permission on template "${template.name}"`)
  if (strengthBits(publicKey) < template.minKeyBits)
    return deny('keyLength', `the key is shorter than the ${template.minKeyBits} bits of template "${template.name}"`)
  return template
}

function deny(reason: keyof typeof caHresult, detail: string): EnrollmentDenial {
  return { hresult: caHresult[reason], detail }
}

/** NIST SP 800-57 part 1, table 2: RSA keys as strong as those curves. */
const rsaBitsByCurve: Readonly<Record<string, number>> = { prime256v1: 3072, secp384r1: 7680 }

/** In RSA bits; 0 for a key that is neither RSA nor on one of the curves. */
function strengthBits(publicKey: Uint8Array): number {
  const { asymmetricKeyType, asymmetricKeyDetails } = importPublicKey(publicKey)
  if (asymmetricKeyType === 'ec') return rsaBitsByCurve[asymmetricKeyDetails?.namedCurve ?? ''] ?? 0
  return asymmetricKeyType === 'rsa' ? (asymmetricKeyDetails?.modulusLength ?? 0) : 0
}
