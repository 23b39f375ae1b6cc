import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ExportFile, type Import, type IntentProfile, importGraph, type ScepIntent } from '#emulator/tenant/index.ts'
import { root } from '../tooling/root.ts'

/** One certificate a device: what `certfleet run` enrols unless told otherwise. */
export const exampleGraph = join(root, 'packages/emulator/examples/contoso/graph')
/** The whole export, with a second certificate for Windows machines. */
export const exampleExport = join(root, 'packages/emulator/examples/contoso')

/** The example CA, base64 of its DER. */
export const rootCertificate: string = JSON.parse(readFileSync(join(exampleGraph, 'ios-root.json'), 'utf8')).trustedRootCertificate

export type Json = Record<string, unknown>

export function trustedRoot(members: Json = {}): Json {
  return {
    '@odata.type': '#microsoft.graph.windows81TrustedRootCertificate',
    id: 'root-1',
    displayName: 'Root',
    trustedRootCertificate: rootCertificate,
    ...members,
  }
}

export function scep(members: Json = {}): Json {
  return {
    '@odata.type': '#microsoft.graph.windows81SCEPCertificateProfile',
    id: 'scep-1',
    displayName: 'Scep',
    renewalThresholdPercentage: 20,
    certificateValidityPeriodValue: 1,
    certificateValidityPeriodScale: 'years',
    subjectNameFormat: 'custom',
    subjectNameFormatString: 'CN={{DeviceId}}',
    keyUsage: 'keyEncipherment,digitalSignature',
    keySize: 'size2048',
    scepServerUrls: ['https://ndes.example/certsrv/mscep/mscep.dll'],
    extendedKeyUsages: [{ name: 'Client Authentication', objectIdentifier: '1.3.6.1.5.5.7.3.2' }],
    'rootCertificate@odata.bind': bindTo('root-1'),
    ...members,
  }
}

export function pkcs(members: Json = {}): Json {
  return {
    '@odata.type': '#microsoft.graph.windows10PkcsCertificateProfile',
    id: 'pkcs-1',
    displayName: 'Pkcs',
    renewalThresholdPercentage: 20,
    certificateValidityPeriodValue: 1,
    certificateValidityPeriodScale: 'years',
    subjectNameFormat: 'custom',
    subjectNameFormatString: 'CN={{UserName}}',
    certificationAuthority: 'ca.contoso.example',
    certificationAuthorityName: 'Contoso CA',
    certificateTemplateName: 'User',
    'rootCertificate@odata.bind': bindTo('root-1'),
    ...members,
  }
}

export function importedPfx(members: Json = {}): Json {
  return {
    '@odata.type': '#microsoft.graph.windows10ImportedPFXCertificateProfile',
    id: 'pfx-1',
    displayName: 'Pfx',
    intendedPurpose: 'smimeSigning',
    'rootCertificate@odata.bind': bindTo('root-1'),
    ...members,
  }
}

export function bindTo(id: string): string {
  return `https://graph.microsoft.com/beta/deviceManagement/deviceConfigurations('${id}')`
}

export function file(content: unknown, name = 'export.json'): ExportFile {
  const bytes = content instanceof Uint8Array ? content : Buffer.from(typeof content === 'string' ? content : JSON.stringify(content))
  return { name, bytes }
}

export function imported(...documents: unknown[]): Import {
  return importGraph(documents.map((document, i) => file(document, `${i}.json`)))
}

export function profileOf(from: Import, id: string): IntentProfile {
  const profile = from.profiles.find((candidate) => candidate.id === id)
  if (profile === undefined) throw new Error(`no profile ${id} in ${from.profiles.map((known) => known.id)}`)
  return profile
}

export function scepOf(from: Import, id = 'scep-1'): ScepIntent {
  const profile = profileOf(from, id)
  if (profile.kind !== 'scep') throw new Error(`${id} is ${profile.kind}: ${'message' in profile ? profile.message : ''}`)
  return profile
}

/** `error profile-invalid 0.json keySize`, one a finding. */
export function told(from: { findings: Import['findings'] }): string[] {
  return from.findings.map(({ severity, id, file, path }) => [severity, id, file, path].filter((part) => part !== undefined).join(' '))
}
