import { type Check, same } from '../check.ts'
import { dayMs, enrolled } from '../documents.ts'
import type { TargetSetup } from '../target.ts'

const thirtyDays = { value: 30, scale: 'days' } as const

interface Row extends Pick<Check, 'id' | 'on' | 'given' | 'facts' | 'source'> {
  readonly setup: TargetSetup
  readonly asks: { readonly value: number; readonly scale: 'days' | 'months' | 'years' }
  readonly getsDays: number
}

const lifetime = ({ setup, asks, getsDays, ...row }: Row): Check => ({
  ...row,
  expect: `the certificate lives ${getsDays} days`,
  async run(context) {
    const { leaf } = await enrolled(context, { setup, scep: { validity: asks } })
    same((leaf.notAfter - leaf.notBefore) / dayMs, getsDays, 'days of validity')
  },
})

/** How long certificates live. */
export const validityChecks: readonly Check[] = [
  lifetime({
    id: 'validity.apple.template',
    on: ['ios', 'macos'],
    given: 'a profile that asks for 30 days, a template of 365, and a CA that honours what is asked for',
    source: 'SEED S51',
    facts: ['validity.apple-template'],
    setup: { templateDays: 365, attributeEndDate: true },
    asks: thirtyDays,
    getsDays: 365,
  }),
  lifetime({
    id: 'validity.requested',
    on: ['android', 'windows', 'windows-phone-8.1'],
    given: 'a profile that asks for 30 days, a template of 365, and a CA that honours what is asked for',
    source: 'SEED S34, S50',
    facts: ['validity.requested'],
    setup: { templateDays: 365, attributeEndDate: true },
    asks: thirtyDays,
    getsDays: 30,
  }),
  lifetime({
    id: 'validity.not-honoured',
    on: ['android', 'windows', 'windows-phone-8.1'],
    given: 'a profile that asks for 30 days, a template of 365, and a CA without EDITF_ATTRIBUTEENDDATE',
    source: 'SEED S50',
    facts: ['ca.end-date'],
    setup: { templateDays: 365, attributeEndDate: false },
    asks: thirtyDays,
    getsDays: 365,
  }),
  lifetime({
    id: 'validity.longer-than-template',
    on: ['ios', 'macos', 'android', 'windows'],
    given: 'a profile that asks for two years, a template of 100 days, and a CA that honours what is asked for',
    source: 'M-SCEP Certificate validity period',
    facts: ['ca.longest-validity'],
    setup: { templateDays: 100, attributeEndDate: true },
    asks: { value: 2, scale: 'years' },
    getsDays: 100,
  }),
  {
    id: 'validity.apple.proof-of-origin',
    on: ['ios', 'macos'],
    given: 'a template with "signature is proof of origin"',
    expect: 'it is told as what this platform must not get',
    source: 'SEED S49',
    facts: ['apple.proof-of-origin'],
    needs: ['warnings'],
    async run(context) {
      const { device } = await enrolled(context, { setup: { proofOfOrigin: true } })
      const warnings = device.session.warnings?.() ?? []
      same(
        warnings.map((warning) => warning.includes('S49') && warning.includes(context.os.platform)),
        [true],
        'a warning',
      )
    },
  },
]
