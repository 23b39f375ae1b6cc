import t from 'tap'
import { importedPfx, type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { type CorpusRow, checked, corpus } from './checked.ts'

const id = 'removal-leaves'
const of = (type: string) => ({ '@odata.type': `#microsoft.graph.${type}` })
const tenantOf = (...devices: string[]) => `assign: all\nusers: []\ndevices:\n${devices.map((device) => `  - { ${device} }`).join('\n')}\n`
const android = (management: string) => `id: ${management}, platform: android, osVersion: "14", management: ${management}`

function row(name: string, documents: Json[], message: RegExp | undefined, more: { tenant?: string; source?: string } = {}): CorpusRow {
  const { tenant, source } = more
  return {
    name,
    documents,
    id,
    ...(tenant && { tenant }),
    finds: message ? [{ severity: 'info', message, ...(source && { source }) }] : [],
  }
}

const both = 'once the profile is unassigned or the device is retired, the certificate'

corpus(t, [
  row('SCEP on Windows: nothing is left', [scep()], undefined),
  row('a root on Windows: nothing is left', [trustedRoot()], undefined),
  row(
    'PKCS on Windows is not revoked by unassigning',
    [pkcs()],
    /^once the profile is unassigned, the certificate leaves the device and is not revoked$/,
    {
      source: 'removal.pkcs-unassigned',
    },
  ),
  row('an imported PFX is never revoked', [importedPfx()], new RegExp(`^${both} leaves the device and is not revoked$`), {
    source: 'removal.imported-unassigned; removal.imported',
  }),
  row(
    'PKCS on a Mac stays',
    [pkcs(of('macOSPkcsCertificateProfile'))],
    /^once the profile is unassigned, the certificate stays on the device, and stays good$/,
    {
      source: 'removal.pkcs-unassigned-stays',
    },
  ),
  row('SCEP on iOS: nothing is left', [scep(of('iosScepCertificateProfile'))], undefined),
  row(
    'SCEP on Knox stays, revoked; with no tenant both of its ways are told',
    [scep(of('androidScepCertificateProfile'))],
    new RegExp(`^${both} stays on the device, revoked$`),
    { source: 'android.removal.scep-revoked-only; android.removal.administrator' },
  ),
  row(
    'SCEP on a fully managed device stays good',
    [scep(of('androidDeviceOwnerScepCertificateProfile'))],
    new RegExp(`^${both} stays on the device, and stays good$`),
    {
      source: 'android.removal.scep-revoked-only; android.removal.owner',
    },
  ),
  row(
    'a root on a device administrator stays, on Knox it does not',
    [trustedRoot(of('androidTrustedRootCertificate'))],
    /^on deviceAdministrator: once the profile is unassigned or the device is retired, the root stays on the device, and stays trusted$/,
    { tenant: tenantOf(android('knox'), android('deviceAdministrator')) },
  ),
  row('a root on Knox alone', [trustedRoot(of('androidTrustedRootCertificate'))], undefined, { tenant: tenantOf(android('knox')) }),
  row(
    'a tenant with no such device leaves what could be',
    [trustedRoot(of('androidTrustedRootCertificate'))],
    /^on deviceAdministrator: /,
    { tenant: tenantOf(android('aosp')) },
  ),
  row('an invalid profile leaves nothing', [pkcs({ certificateTemplateName: '' })], undefined),
])

t.test('it is told once a profile, whatever the number of devices', async (t) => {
  const devices = ['a', 'b', 'c'].map((device) => `id: ${device}, platform: windows, osVersion: "11"`)
  t.equal(checked([pkcs()], tenantOf(...devices)).filter((finding) => finding.id === id).length, 1)
})
