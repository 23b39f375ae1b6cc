import { AgentError } from '@certfleet/agent-core'
import { caFacts, says } from '@certfleet/platforms'

/** The service account that NDES asks the CA by. */
export const ndesAccount = says(caFacts.templateEnroll, {})
/** The computer that runs the certificate connector. */
export const connectorAccount = says(caFacts.connectorEnroll, {})

/** What an account may do at the CA itself; Enroll is the template's to give. */
export interface CaAccount {
  /** At least one character; there is none of the name twice. */
  readonly name: string
  /** Issue and Manage Certificates (S52): may revoke what was issued, by every template or by those named. */
  readonly issueAndManage: boolean | readonly string[]
  /** Request Certificates, which the connector's host needs for PFX (S53). Default true. */
  readonly requestCertificates?: boolean | undefined
}

export interface Accounts {
  mayRequest(account: string): boolean
  /** Whether it may revoke a certificate of that template. */
  mayManage(account: string, template: string): boolean
}

/** Set up as Tasks 1 and 4 of the document want it. */
const builtIn: readonly CaAccount[] = [
  { name: ndesAccount, issueAndManage: true },
  { name: connectorAccount, issueAndManage: true },
]

/** The two built-in accounts, others, and changed ones in their stead. Without a name, or twice of one: `ERR_POLICY_INVALID`. */
export function openAccounts(given: readonly CaAccount[]): Accounts {
  const names = given.map(({ name }) => name)
  const wrong = names.find((name, i) => name === '' || names.indexOf(name) !== i)
  if (wrong !== undefined) throw new AgentError('ERR_POLICY_INVALID', `accounts of the CA: "${wrong}" is no name, or there twice`)
  const byName = new Map([...builtIn, ...given].map((account) => [account.name, account]))
  return {
    mayRequest(account) {
      const known = byName.get(account)
      return known !== undefined && known.requestCertificates !== false
    },
    mayManage(account, template) {
      const right = byName.get(account)?.issueAndManage ?? false
      return typeof right === 'boolean' ? right : right.some((name) => name.toLowerCase() === template.toLowerCase())
    },
  }
}
