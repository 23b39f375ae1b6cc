import { profileFacts, says } from '@certfleet/platforms'
import type { IntentProfile, ScepIntent } from '../../tenant/index.ts'
import { about } from '../shown.ts'
import type { CheckFinding, DeviceRule, ProfileRule } from '../types.ts'

export const profileRules: readonly ProfileRule[] = [sidMissing]

export const deviceRules: readonly DeviceRule[] = []

/** By which a domain controller takes a certificate for a logon: client authentication, smart card logon, PKINIT, any. */
const logonUsages = ['1.3.6.1.5.5.7.3.2', '1.3.6.1.4.1.311.20.2.2', '1.3.6.1.5.2.3.4', '2.5.29.37.0']

/** PKCS profiles have the connector put it into an extension, which no member of theirs tells of. */
function sidMissing(profile: IntentProfile): readonly CheckFinding[] {
  if (profile.kind !== 'scep' || !canHoldSid(profile) || !isForLogon(profile) || holdsSid(profile)) return []
  const { principal, platform } = profile
  const { strongMappingUsers, sidEnforced } = profileFacts
  const onlyUsers = strongMappingUsers.platforms.some((one) => one === platform) && principal !== says(strongMappingUsers, {})
  if (onlyUsers)
    return [
      {
        id: 'sid-missing',
        severity: 'info',
        ...about(profile),
        message: 'a certificate of these devices holds no security identifier, so that Active Directory maps it to no account by itself',
        action: 'where it is for a logon to Active Directory, make the profile one for users, or map the certificates by hand',
        source: strongMappingUsers.id,
      },
    ]
  return [
    {
      id: 'sid-missing',
      severity: 'warning',
      ...about(profile),
      message: `the certificate does not hold the security identifier of its ${principal}: Active Directory refuses it for a logon unless it was mapped by hand (KB5014754)`,
      action: 'add the URI subject alternative name {{OnPremisesSecurityIdentifier}}, unless the certificate is for other servers alone',
      source: sidEnforced.id,
    },
  ]
}

/** The fact is not about phones, which are a platform `windows` too. */
function canHoldSid({ platform, family }: ScepIntent): boolean {
  return family !== 'windowsPhone81' && profileFacts.strongMapping.platforms.some((one) => one === platform)
}

function isForLogon({ extendedKeyUsages }: ScepIntent): boolean {
  return extendedKeyUsages.length === 0 || extendedKeyUsages.some((usage) => logonUsages.includes(usage))
}

function holdsSid({ subjectAltNames }: ScepIntent): boolean {
  const prefix = says(profileFacts.strongMapping, {})
  return subjectAltNames.some(
    ({ type, value }) => type === 'uri' && (value.startsWith(prefix) || /\{\{\s*onpremisessecurityidentifier\s*\}\}/i.test(value)),
  )
}
