import { type PlistValue, writePropertyList } from '../apple/rendering/property-list.ts'

/** SHA-1 of nothing in particular. */
export const thumbprint = '5A'.repeat(20)

const installPath = './Device/Vendor/MSFT/ClientCertificateInstall/SCEP/wifi'
const enrollNode = '/Install/Enroll'

/** Nodes of a SCEP request that Windows takes. */
const scepNodes = {
  ServerURL: 'https://ndes.example/certsrv/mscep/mscep.dll',
  Challenge: 'c2VjcmV0',
  SubjectName: 'CN=ada',
  KeyUsage: '160',
  KeyLength: '2048',
  HashAlgorithm: 'SHA-2',
  EKUMapping: '1.3.6.1.5.5.7.3.2',
  CAThumbprint: thumbprint,
} as const

const pfxNodes = { KeyLocation: '3', PFXCertPassword: 'pw', PFXCertBlob: 'AQI=' } as const

/** By name below the request; undefined leaves one out. */
export type Nodes = Readonly<Record<string, string | undefined>>

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

export function command(verb: string, path: string, data?: string): string {
  const value = data === undefined ? '' : `<Data>${escaped(data)}</Data>`
  return `<${verb}><CmdID>1</CmdID><Item><Target><LocURI>${path}</LocURI></Target>${value}</Item></${verb}>`
}

export const atomic = (...commands: readonly string[]): string => `<Atomic><CmdID>1</CmdID>${commands.join('')}</Atomic>`

export const syncMl = (...commands: readonly string[]): string =>
  `<SyncML xmlns="SYNCML:SYNCML1.2"><SyncBody>${commands.join('')}<Final/></SyncBody></SyncML>`

export const enroll = command('Exec', installPath + enrollNode)

/** Adds the nodes of a SCEP request. */
export function scepAdds(nodes: Nodes = {}, path = `${installPath}/Install`): string[] {
  return adds({ ...scepNodes, ...nodes }, path)
}

/** A SCEP request as Windows is told it. */
export const scepMessage = (nodes: Nodes = {}): string => syncMl(atomic(...scepAdds(nodes), enroll))

/** A PFX as Windows is told it. */
export function pfxMessage(nodes: Nodes = {}): string {
  return syncMl(atomic(...adds({ ...pfxNodes, ...nodes }, './Device/Vendor/MSFT/ClientCertificateInstall/PFXCertInstall/mail')))
}

function adds(nodes: Nodes, path: string): string[] {
  return Object.entries(nodes).flatMap(([name, value]) => (value === undefined ? [] : [command('Add', `${path}/${name}`, value)]))
}

/** A SCEP request as the agent on Android is told it, the elements of its settings and of its parameters as XML. */
export function androidMessage(
  settings: string,
  parameters = '',
  path = './Vendor/MSFT/CertificateStore/Enroll/ModelName=wifi;Hash=7/Install',
): string {
  const namespace = 'http://schemas.microsoft.com/SystemCenterConfigurationManager/2012/03/07/CertificateEnrollment/ConfigurationParameters'
  const chosen = `<ConfigurationParameters xmlns="${namespace}">${settings}</ConfigurationParameters>`
  const url = '<NDESUrl>https://ndes.example/scep</NDESUrl>'
  const asked = `<RequestParameters><SubjectName>CN=ada</SubjectName>${url}${parameters}</RequestParameters>`
  const request = `<CertificateRequest><ConfigurationParametersDocument>${escaped(chosen)}</ConfigurationParametersDocument>${asked}</CertificateRequest>`
  return syncMl(command('Add', path, request))
}

type Values = { readonly [key: string]: PlistValue | undefined }

const present = (values: Values): { [key: string]: PlistValue } =>
  Object.fromEntries(Object.entries(values).filter((entry): entry is [string, PlistValue] => entry[1] !== undefined))

/** A payload of a configuration profile. */
export const payload = (type: string, name: string, values: Values): PlistValue =>
  present({ PayloadType: type, PayloadIdentifier: `example.${name}`, PayloadUUID: `UUID-${name}`, PayloadVersion: 1, ...values })

/** A SCEP payload; what is undefined is left out. */
export const scepPayload = (contents: Values = {}, beside: Values = {}): PlistValue =>
  payload('com.apple.security.scep', 'wifi', {
    PayloadContent: present({ URL: 'https://ndes.example/scep', Subject: [[['CN', 'ada']]], ...contents }),
    ...beside,
  })

/** A configuration profile. */
export const profile = (payloads: readonly PlistValue[], values: Values = {}): string =>
  writePropertyList(payload('Configuration', 'profile', { PayloadContent: [...payloads], ...values }) as { [key: string]: PlistValue })
