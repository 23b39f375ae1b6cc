import type { Check } from './check.ts'
import type { Ability, ConformanceTarget, TargetSetup } from './target.ts'

/** What it means that a target lacks an ability or a setup. */
const inWords: Readonly<Record<Ability | keyof TargetSetup, string>> = {
  advance: 'its clock cannot be moved',
  issued: 'it does not tell what it issued',
  revoked: 'it does not tell what it revoked',
  refusals: 'it does not tell why it refuses a request',
  warnings: 'it does not tell what is wrong with its templates',
  reporter: 'it takes no reports of devices',
  author: 'it has no profiles of its own',
  pfxSource: 'it delivers no PFX',
  templateDays: 'the lifetime of its template cannot be set',
  attributeEndDate: 'EDITF_ATTRIBUTEENDDATE cannot be set there',
  proofOfOrigin: '"signature is proof of origin" cannot be set there',
  templatesByKeyUsage: 'its templates cannot be set',
  leastKeyBits: 'its templates cannot be set',
  pendingAnswers: 'it cannot be made to answer PENDING',
  ndesFailures: 'it cannot be made to write failures as NDES does',
  refusing: 'the service behind it cannot be made to fail',
  otherAuthority: 'it has no second CA',
  pfx: 'it delivers no PFX',
}

/** Why a check cannot be run before a target, if so. */
export function lackOf({ needs = [] }: Pick<Check, 'needs'>, { name, abilities }: ConformanceTarget): string | undefined {
  const missing = needs.find((ability) => !abilities.has(ability))
  return missing && `${name}: ${inWords[missing]}`
}

/** Why a target cannot be set up so, if so. */
export function unsettable(setup: TargetSetup, { name, setups }: ConformanceTarget): string | undefined {
  const missing = (Object.keys(setup) as (keyof TargetSetup)[]).find((key) => !setups.has(key))
  return missing && `${name}: ${inWords[missing]}`
}
