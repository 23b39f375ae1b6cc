import t from 'tap'
import { bindTo, type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { corpus } from './checked.ts'

const iosRoot = trustedRoot({ '@odata.type': '#microsoft.graph.iosTrustedRootCertificate' })
const iosScep = scep({ '@odata.type': '#microsoft.graph.iosScepCertificateProfile' })
const iosPkcs = pkcs({ '@odata.type': '#microsoft.graph.iosPkcsCertificateProfile' })

function wifi(id: string, link: string, members: Json = {}): Json {
  const bind = { 'identityCertificateForClientAuthentication@odata.bind': bindTo(link) }
  return { '@odata.type': '#microsoft.graph.iosEnterpriseWiFiConfiguration', id, displayName: id, ...bind, ...members }
}
const vpn = (id: string, link: string) => wifi(id, link, { '@odata.type': '#microsoft.graph.iosVpnConfiguration' })

const source = 'ios.certificate.per-use'

corpus(t, [
  {
    name: 'a SCEP profile that nothing uses brings one certificate',
    documents: [iosRoot, iosScep],
    id: 'certificates-multiplied',
    finds: [],
  },
  {
    name: 'a SCEP profile that one profile uses brings two',
    documents: [iosRoot, iosScep, wifi('Office', 'scep-1')],
    id: 'certificates-multiplied',
    finds: [{ severity: 'info', profileId: 'scep-1', message: /holds 2 certificates, one for each of "Office"/, source }],
  },
  {
    name: 'a SCEP profile that two profiles use brings three',
    documents: [iosRoot, iosScep, wifi('Office', 'scep-1'), vpn('Tunnel', 'scep-1')],
    id: 'certificates-multiplied',
    finds: [{ severity: 'warning', message: /holds 3 certificates, one for each of "Office", "Tunnel" .* a key of its own/, source }],
  },
  {
    name: 'a PKCS profile brings the same certificate each time',
    documents: [iosRoot, iosPkcs, wifi('Office', 'pkcs-1'), vpn('Tunnel', 'pkcs-1')],
    id: 'certificates-multiplied',
    finds: [{ severity: 'info', message: /holds 3 certificates.* the same certificate/, source }],
  },
  {
    name: 'a Mac holds one, whatever uses it',
    documents: [
      trustedRoot({ '@odata.type': '#microsoft.graph.macOSTrustedRootCertificate' }),
      scep({ '@odata.type': '#microsoft.graph.macOSScepCertificateProfile' }),
      wifi('Office', 'scep-1', { '@odata.type': '#microsoft.graph.macOSEnterpriseWiFiConfiguration' }),
    ],
    id: 'certificates-multiplied',
    finds: [],
  },
])

const tenant = `
assign: all
users: [{ id: alice, upn: alice@contoso.example, userName: alice }]
devices: [{ id: pc-1, platform: windows, osVersion: "11", user: alice, serial: S1 }]
`

/** Two profiles of a device that are alike but for `members` of the second. */
const beside = (members: Json): Json[] => [trustedRoot(), scep(), scep({ id: 'scep-2', displayName: 'Second', ...members })]
const userStore = { certificateStore: 'user', subjectNameFormatString: 'CN={{UserName}}' }
const client = [{ name: 'Client Authentication', objectIdentifier: '1.3.6.1.5.5.7.3.2' }]

corpus(t, [
  {
    name: 'two profiles that ask for the same',
    documents: beside({}),
    tenant,
    id: 'certificates-duplicate',
    finds: [{ severity: 'warning', profileId: 'scep-1', device: 'pc-1', message: /it and "Second" bring the \w+ 2 certificates/ }],
  },
  {
    name: 'by two variables of the same value',
    documents: [
      trustedRoot(),
      scep({ subjectNameFormatString: 'CN={{SerialNumber}}' }),
      scep({ id: 'scep-2', displayName: 'Second', subjectNameFormatString: 'CN={{Device_Serial}}' }),
    ],
    tenant,
    id: 'certificates-duplicate',
    finds: [{ device: 'pc-1' }],
  },
  {
    name: 'another key size is no other content',
    documents: beside({ keySize: 'size4096' }),
    tenant,
    id: 'certificates-duplicate',
    finds: [{}],
  },
  { name: 'another subject', documents: beside({ subjectNameFormatString: 'CN=x' }), tenant, id: 'certificates-duplicate', finds: [] },
  {
    name: 'another alternative name',
    documents: beside({ customSubjectAlternativeNames: [{ sanType: 'domainNameService', name: 'x.example' }] }),
    tenant,
    id: 'certificates-duplicate',
    finds: [],
  },
  {
    name: 'another extended key usage',
    documents: beside({ extendedKeyUsages: [{ name: 'x', objectIdentifier: '1.2.3' }] }),
    tenant,
    id: 'certificates-duplicate',
    finds: [],
  },
  {
    name: 'one to sign, one to decrypt',
    documents: beside({ keyUsage: 'keyEncipherment' }),
    tenant,
    id: 'certificates-duplicate',
    finds: [],
  },
  {
    name: 'one of the device, one of its user',
    documents: [
      trustedRoot(),
      scep({ certificateStore: 'machine', subjectNameFormatString: 'CN=x' }),
      scep({ ...userStore, id: 'scep-2', subjectNameFormatString: 'CN=x' }),
    ],
    tenant,
    id: 'certificates-duplicate',
    finds: [],
  },
  {
    name: 'another root',
    documents: [...beside({ 'rootCertificate@odata.bind': bindTo('root-2') }), trustedRoot({ id: 'root-2', displayName: 'Other' })],
    tenant,
    id: 'certificates-duplicate',
    finds: [],
  },
  {
    name: 'one of the two cannot be delivered',
    documents: beside({ subjectNameFormatString: 'CN={{IMEI}}' }),
    tenant,
    id: 'certificates-duplicate',
    finds: [],
  },
  {
    name: 'three of them, SCEP and PKCS',
    documents: [
      trustedRoot(),
      scep(userStore),
      pkcs({ certificateStore: 'user', extendedKeyUsages: client }),
      pkcs({ certificateStore: 'user', extendedKeyUsages: client, id: 'pkcs-2', displayName: 'Second' }),
    ],
    tenant,
    id: 'certificates-duplicate',
    finds: [{ message: /it and "Pkcs", "Second" bring the user 3 certificates/ }],
  },
  {
    name: 'two PKCS profiles of two templates',
    documents: [
      trustedRoot(),
      pkcs({ extendedKeyUsages: [] }),
      pkcs({ id: 'pkcs-2', displayName: 'Second', certificateTemplateName: 'Mail' }),
    ],
    tenant,
    id: 'certificates-duplicate',
    finds: [],
  },
])
