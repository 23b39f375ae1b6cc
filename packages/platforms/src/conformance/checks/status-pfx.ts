import type { CheckContext, DeviceWishes } from '../context.ts'
import type { ConformanceDevice } from '../device.ts'
import { pfxProfile, policyWith, rootProfile } from '../documents.ts'
import type { StatusRow } from './status-rows.ts'

async function withPfx(context: CheckContext, wishes: DeviceWishes): Promise<ConformanceDevice> {
  const device = await context.device(wishes)
  await device.assign(policyWith({ trustedRoots: [rootProfile(device.session)], pfxProfiles: [pfxProfile()] }))
  return device
}

/** Of PFX profiles. */
export const pfxStatusRows: readonly StatusRow[] = [
  {
    id: 'pfx.installed',
    given: 'a PFX that is installed',
    shown: { windows: 'Status 0', apple: 'Status Acknowledged' },
    source: 'W-CCI PFXCertInstall Status',
    facts: ['windows.status.pfx'],
    needs: ['pfxSource'],
    profileId: 'mail',
    to: (context) => withPfx(context, {}),
  },
  {
    id: 'pfx.password',
    given: 'a PFX with another password than is told',
    shown: { windows: 'Status 86 0x00000056', apple: 'MCCertificateErrorDomain 9000' },
    source: 'W-CCI PFXCertInstall Status; A-ERR MCCertificateErrorDomain 9000',
    facts: ['windows.error.pfx-password', 'apple.error.9000'],
    needs: ['pfxSource'],
    profileId: 'mail',
    to: (context) => withPfx(context, { setup: { pfx: { password: 'wrong' } } }),
  },
  {
    id: 'pfx.not-taken',
    on: ['ios', 'macos'],
    given: 'a PFX with the issuer beside the certificate',
    shown: { apple: 'MCCertificateErrorDomain 9005' },
    source: 'A-ERR MCCertificateErrorDomain 9005',
    facts: ['apple.error.9005'],
    needs: ['pfxSource'],
    profileId: 'mail',
    to: (context) => withPfx(context, { setup: { pfx: { certificates: 2 } } }),
  },
]
