import type { HttpResponse } from '@certfleet/agent-core'
import type { TargetSetup } from '@certfleet/platforms/conformance'
import type { CertificateTemplate, Lab, LabOptions } from '../lab/index.ts'

const dayMs = 86_400_000
const defaultTemplateDays = 365

/** The lab's settings for what a check wants. */
export function settingsFor(setup: TargetSetup): Partial<LabOptions> {
  const { templateDays = defaultTemplateDays, attributeEndDate = false, ndesFailures = false } = setup
  let pendingLeft = setup.pendingAnswers ?? 0
  return {
    templateValidityMs: templateDays * dayMs,
    honourRequestedValidity: attributeEndDate,
    ndesFailures,
    templates: templatesOf(setup),
    approve() {
      if (setup.refusing === 'challenge') return { failInfo: 'badRequest' }
      return pendingLeft-- > 0 ? 'pending' : 'issue'
    },
  }
}

/** Lets NDES use the templates. */
export async function setRegistryFor(setup: TargetSetup, { ndes }: Lab): Promise<void> {
  if (!setup.templatesByKeyUsage && !isOwn(setup)) return
  const [SignatureTemplate, EncryptionTemplate, GeneralPurposeTemplate] = setup.templatesByKeyUsage ? byKeyUsage : [own, own, own]
  await ndes.setRegistry({ SignatureTemplate, EncryptionTemplate, GeneralPurposeTemplate })
  await ndes.restartIis()
}

const byKeyUsage = ['Signature', 'Encryption', 'GeneralPurpose'] as const
const own = 'Own'

/** One template for all, which is not the built-in one. */
const isOwn = ({ proofOfOrigin, leastKeyBits }: TargetSetup): boolean => proofOfOrigin === true || leastKeyBits !== undefined

function templatesOf(setup: TargetSetup): readonly CertificateTemplate[] {
  const { templatesByKeyUsage, proofOfOrigin = false, leastKeyBits = 1024, templateDays = defaultTemplateDays } = setup
  const named = (name: string): CertificateTemplate => ({
    name,
    displayName: name,
    subject: 'supplied-in-request',
    signatureIsProofOfOrigin: name === own && proofOfOrigin,
    validityMs: templateDays * dayMs,
    renewalPeriodMs: 0,
    minKeyBits: leastKeyBits,
    enrollAccounts: ['ndes'],
  })
  return [...(templatesByKeyUsage ? byKeyUsage : []), ...(isOwn(setup) ? [own] : [])].map(named)
}

/**
 * The lab as a server whose service lets it down: it has nothing to go by and answers 500, or it has issued by then and keeps the
 * certificate to itself.
 */
export function letDown({ refusing }: TargetSetup, handle: Lab['handle']): Lab['handle'] {
  if (refusing === undefined || refusing === 'challenge') return handle
  return async (request) => {
    if (!request.url.includes('operation=PKIOperation')) return handle(request)
    if (refusing === 'notification') await handle(request)
    return serverError
  }
}

const serverError: HttpResponse = { status: 500, headers: {}, body: new Uint8Array() }
