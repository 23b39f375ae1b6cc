import type { Authored, AuthoredProfiles, TargetDevice } from '@certfleet/platforms/conformance'
import { assignProfiles, importGraph, parseTenant, renderPolicy } from '../tenant/index.ts'

export interface AuthorOptions {
  readonly device: TargetDevice
  /** DER. */
  readonly root: Uint8Array
  readonly scepUrl: string
}

/** Graph's types of a Trusted and a SCEP profile by platform. */
const types = {
  ios: ['iosTrustedRootCertificate', 'iosScepCertificateProfile'],
  macos: ['macOSTrustedRootCertificate', 'macOSScepCertificateProfile'],
  android: ['androidWorkProfileTrustedRootCertificate', 'androidWorkProfileScepCertificateProfile'],
  windows: ['windows81TrustedRootCertificate', 'windows81SCEPCertificateProfile'],
} as const

/** Reads profiles as Graph exports them, assigns them to everybody, and renders what the device gets: as `certfleet run` does. */
export async function author(profiles: AuthoredProfiles, { device, root, scepUrl }: AuthorOptions): Promise<Authored> {
  const documents = [rootDocument(profiles, root), scepDocument(profiles, scepUrl)]
  const files = documents.map((document, i) => ({ name: `${i}.json`, bytes: Buffer.from(JSON.stringify(document)) }))
  const imported = importGraph(files)
  const tenant = parseTenant(Buffer.from(tenantText(device)), 'tenant.yaml')
  const { intent } = assignProfiles(imported, tenant)
  return {
    rejected: imported.findings.filter(({ severity }) => severity === 'error').map(({ id }) => id),
    policy: renderPolicy(intent, tenant, device.id, { revision: 1 }),
  }
}

function rootDocument({ rootFor }: AuthoredProfiles, root: Uint8Array): object {
  return {
    '@odata.type': `#microsoft.graph.${types[rootFor][0]}`,
    id: 'root',
    displayName: 'Root',
    trustedRootCertificate: Buffer.from(root).toString('base64'),
  }
}

function scepDocument({ scepFor, subject = 'CN={{DeviceId}}' }: AuthoredProfiles, scepUrl: string): object {
  return {
    '@odata.type': `#microsoft.graph.${types[scepFor][1]}`,
    id: 'wifi',
    displayName: 'Wi-Fi',
    certificateStore: 'machine',
    renewalThresholdPercentage: 20,
    certificateValidityPeriodValue: 1,
    certificateValidityPeriodScale: 'years',
    subjectNameFormat: 'custom',
    subjectNameFormatString: subject,
    keyUsage: 'keyEncipherment,digitalSignature',
    keySize: 'size2048',
    scepServerUrls: [scepUrl],
    extendedKeyUsages: [{ name: 'Client Authentication', objectIdentifier: '1.3.6.1.5.5.7.3.2' }],
    'rootCertificate@odata.bind': "https://graph.microsoft.com/beta/deviceManagement/deviceConfigurations('root')",
  }
}

/** A device with a user and no IMEI. */
function tenantText({ id, platform, osVersion }: TargetDevice): string {
  const version = osVersion.replace(/^Phone /, '')
  const users = '[{ id: ada, upn: ada@contoso.example }]'
  return `users: ${users}\ndevices: [{ id: ${id}, platform: ${platform}, osVersion: ${version}, user: ada }]\nassign: all\n`
}
