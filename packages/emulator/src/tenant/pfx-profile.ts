import { renewalFacts, says } from '@certfleet/platforms'
import { readNames } from './names.ts'
import type { Problem, Remark } from './remark.ts'
import { defaultKeyStorage, oidsOf } from './scep-profile.ts'
import type { ImportedPfxShape, PkcsShape } from './shapes.ts'
import type { ImportedPfxIntent, PkcsIntent } from './types.ts'
import { validityOf, validityRemarks } from './validity.ts'

/** What a PKCS profile says beyond its name and place. */
export type PkcsSettings = Pick<
  PkcsIntent,
  | 'principal'
  | 'renewalThresholdPercent'
  | 'keyStorage'
  | 'subjectNameFormat'
  | 'subjectTemplate'
  | 'subjectAltNames'
  | 'extendedKeyUsages'
  | 'validity'
  | 'certificateTemplateName'
  | 'certificationAuthority'
  | 'certificationAuthorityName'
>

/** Settings of checked members, as of a SCEP profile. Types that name no store are the user's. */
export function pkcsSettings(shape: PkcsShape): { settings: PkcsSettings; remarks: Remark[]; problems: Problem[] } {
  const { names, remarks, problems } = readNames(shape)
  const settings: PkcsSettings = {
    principal: shape.certificateStore === 'machine' ? 'device' : 'user',
    renewalThresholdPercent: shape.renewalThresholdPercentage,
    keyStorage: shape.keyStorageProvider ?? defaultKeyStorage,
    ...names,
    extendedKeyUsages: oidsOf(shape),
    validity: validityOf(shape),
    certificateTemplateName: shape.certificateTemplateName,
    certificationAuthority: shape.certificationAuthority,
    certificationAuthorityName: shape.certificationAuthorityName ?? '',
  }
  return { settings, remarks: [...remarks, ...templateRemarks(shape), ...validityRemarks(shape)], problems }
}

/** What an imported PFX profile says beyond its name and place. */
export type ImportedPfxSettings = Pick<ImportedPfxIntent, 'principal' | 'renewalThresholdPercent' | 'keyStorage' | 'intendedPurpose'>

export function importedPfxSettings(shape: ImportedPfxShape): ImportedPfxSettings {
  return {
    principal: 'user',
    renewalThresholdPercent: shape.renewalThresholdPercentage ?? says(renewalFacts.usualThreshold, {}),
    keyStorage: shape.keyStorageProvider ?? defaultKeyStorage,
    intendedPurpose: shape.intendedPurpose ?? 'unassigned',
  }
}

function templateRemarks({ certificateTemplateName }: PkcsShape): Remark[] {
  if (/^[\x20-\x7e]*$/.test(certificateTemplateName)) return []
  return [
    {
      id: 'template-name',
      severity: 'error',
      path: 'certificateTemplateName',
      message: 'the template name is not ASCII; no certificate is deployed',
      action: 'name the template (not its display name) in ASCII',
      source: 'CM-CP',
    },
  ]
}
