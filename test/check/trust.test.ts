import t from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { importedPfx, type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { type CorpusRow, corpus } from './checked.ts'

const people = `
users: [{ id: alice, upn: alice@contoso.example }]
groups: [{ id: of-users, users: [alice] }, { id: of-devices, devices: [d1] }]
`
const windows = `${people}devices: [{ id: d1, platform: windows, osVersion: 10.0.26100, user: alice }]`

function to(...groups: readonly string[]): Json {
  return {
    assignments: groups.map((groupId) => ({ target: { '@odata.type': '#microsoft.graph.groupAssignmentTarget', groupId } })),
  }
}

const user = to('of-users')
const device = to('of-devices')
const both = to('of-users', 'of-devices')

/** SEED S11 and the nine of Microsoft's matrix: trust.assignment, and trust.assignment-pfx for a PFX. */
const matrix: readonly [certificate: string, root: string, works: boolean][] = [
  ['user', 'user', true],
  ['user', 'device', false],
  ['user', 'both', true],
  ['device', 'user', false],
  ['device', 'device', true],
  ['device', 'both', true],
  ['both', 'user', true],
  ['both', 'device', true],
  ['both', 'both', true],
]
const assignedTo: Readonly<Record<string, Json>> = { user, device, both }

corpus(
  t,
  matrix.flatMap(([certificate, root, works]): CorpusRow[] =>
    [scep, pkcs].map((document) => ({
      name: `${document.name} assigned to ${certificate}, its root to ${root}`,
      documents: [trustedRoot(assignedTo[root]), document(assignedTo[certificate])],
      tenant: windows,
      id: 'root-not-deployed',
      finds: works
        ? []
        : [
            {
              ...{ severity: 'error', profile: document === scep ? 'Scep' : 'Pkcs', device: 'd1', code: 'ERR_ROOT_NOT_DEPLOYED' },
              source: document === scep ? 'trust.assignment' : 'trust.assignment-pfx',
              message:
                certificate === 'user' ? /assigned to its user, .*"Root" to the device/ : /assigned to the device, .*"Root" to its user/,
            },
          ],
    })),
  ),
)

const ios4 = `${people}devices: [{ id: d1, platform: ios, osVersion: 5.1, user: alice }]`
const iosRoot = (members: Json) => trustedRoot({ '@odata.type': '#microsoft.graph.iosTrustedRootCertificate', ...members })

corpus(t, [
  {
    name: 'a root for nobody',
    documents: [trustedRoot(), scep(both), importedPfx(both)],
    tenant: windows,
    id: 'root-not-assigned',
    finds: ['Scep', 'Pfx'].map((profile) => ({
      ...{ severity: 'error', profile, device: 'd1', code: 'ERR_ROOT_NOT_DEPLOYED', source: 'trust.both-deployed' },
      message: /"Root" reaches neither the device nor its user/,
    })),
  },
  {
    name: 'a root that cannot be delivered',
    documents: [trustedRoot({ ...both, trustedRootCertificate: 'AAAA' }), scep(both)],
    tenant: windows,
    id: 'root-not-assigned',
    finds: [{ message: /"Root" cannot be delivered \(.*DER certificate/, code: 'ERR_ROOT_NOT_DEPLOYED' }],
  },
  {
    name: 'a root that is not for an OS that takes the PFX',
    documents: [iosRoot(both), pkcs({ '@odata.type': '#microsoft.graph.iosPkcsCertificateProfile', ...both })],
    tenant: ios4,
    id: 'root-not-assigned',
    finds: [{ message: /"Root" is not for its OS version/, code: 'ERR_ROOT_NOT_DEPLOYED' }],
  },
  {
    name: 'a certificate without a link is not delivered, which is told as that',
    documents: [trustedRoot(both), scep({ ...both, 'rootCertificate@odata.bind': undefined })],
    tenant: windows,
    id: 'root-not-assigned',
    finds: [],
  },
  {
    name: 'a root that several certificates name, or none',
    documents: [trustedRoot(both), trustedRoot({ ...both, id: 'root-2', displayName: 'Other' }), scep(both), pkcs(both)],
    tenant: windows,
    id: 'root-not-assigned',
    finds: [],
  },
])

const owner = (mode: string, version = '15', consent = '') =>
  `${people}devices: [{ id: d1, platform: android, osVersion: ${version}, user: alice, management: ${mode}${consent} }]`
const android = (type: string, document: (members: Json) => Json, kind: string) => (members: Json) =>
  document({ '@odata.type': `#microsoft.graph.${type}${kind}`, ...members })
const ownerRoot = android('androidDeviceOwner', trustedRoot, 'TrustedRootCertificate')
const ownerScep = android('androidDeviceOwner', scep, 'ScepCertificateProfile')

corpus(t, [
  ...matrix.map(([certificate, root, works]): CorpusRow => {
    const isMixed = works && certificate !== root
    return {
      name: `certificate to ${certificate}, root to ${root}`,
      documents: [ownerRoot(assignedTo[root] as Json), ownerScep(assignedTo[certificate] as Json)],
      tenant: owner('deviceOwner'),
      id: 'android-group-mismatch',
      finds: isMixed ? [{ severity: 'warning', device: 'd1', source: 'android.trust.one-kind', message: /it can stay pending/ }] : [],
    }
  }),
  {
    name: 'is of Android alone',
    documents: [trustedRoot(both), scep(user)],
    tenant: windows,
    id: 'android-group-mismatch',
    finds: [],
  },
])

const adminRoot = android('android', trustedRoot, 'TrustedRootCertificate')
const adminScep = android('android', scep, 'ScepCertificateProfile')
const asked = (tenant: string, finds: CorpusRow['finds'], name: string): CorpusRow => ({
  ...{ name, tenant, finds, id: 'user-action-missing', documents: [adminRoot(both), adminScep(both)] },
})
const missing = { severity: 'error', code: 'ERR_USER_ACTION_REQUIRED', device: 'd1', profile: 'Scep' }

corpus(t, [
  asked(
    owner('deviceAdministrator', '10', ', userConsent: refused'),
    [
      { ...missing, profile: 'Root', message: /agree that it is installed, and has refused/ },
      { ...missing, message: /"Root" is installed, and has refused/ },
    ],
    'refused',
  ),
  asked(
    owner('deviceAdministrator', '11', ', userConsent: waiting'),
    [
      { ...missing, profile: 'Root', source: 'android.root.by-hand' },
      { ...missing, source: 'android.root.by-hand' },
    ],
    'by hand',
  ),
  asked(owner('deviceAdministrator', '10', ', userConsent: granted'), [], 'granted'),
  asked(owner('deviceAdministrator', '10'), [], 'not said'),
  asked(owner('knox', '10', ', userConsent: refused'), [], 'never asked'),
])

const top = { subject: 'CN=Top', key: await testKey('top') }
const issuing = await testCertificate({ subject: 'CN=Issuing', key: await testKey('issuing'), issuer: top, ca: true })
const client = await testCertificate({ subject: 'CN=Client', key: await testKey('issuing'), issuer: top })
const holding = (certificate: Uint8Array, members: Json = {}) =>
  trustedRoot({ trustedRootCertificate: Buffer.from(certificate).toString('base64'), ...both, ...members })
const refused = { severity: 'error', profile: 'Scep', device: 'd1', code: 'ERR_ROOT_NOT_INSTALLED' }
const refusedItself = { ...refused, profile: 'Root', code: 'ERR_CERTIFICATE_REFUSED' }

corpus(t, [
  {
    name: 'an intermediate for the store of roots',
    documents: [holding(issuing, { destinationStore: 'computerCertStoreRoot' }), scep(both)],
    tenant: windows,
    id: 'root-refused',
    finds: [refusedItself, { ...refused, source: 'windows.store.root-self-signed', message: /it is not self-signed/ }],
  },
  {
    name: 'the certificate of a client',
    documents: [holding(client), scep(both)],
    tenant: windows,
    id: 'root-refused',
    finds: [refusedItself, { ...refused, source: 'profile.root-kind', message: /it is not a CA certificate/ }],
  },
  {
    name: 'an intermediate for a store of intermediates',
    documents: [holding(issuing, { destinationStore: 'computerCertStoreIntermediate' }), scep(both)],
    tenant: windows,
    id: 'root-refused',
    finds: [],
  },
  {
    name: 'an intermediate that another profile brings to a store that takes it',
    documents: [
      holding(issuing, { destinationStore: 'computerCertStoreRoot' }),
      holding(issuing, { id: 'root-2', displayName: 'Again', destinationStore: 'userCertStoreIntermediate' }),
      scep(both),
    ],
    tenant: windows,
    id: 'root-refused',
    finds: [refusedItself],
  },
  {
    name: 'a SCEP profile that links an intermediate',
    documents: [holding(issuing), scep(both), pkcs(both)],
    id: 'link-intermediate',
    finds: [{ severity: 'warning', profile: 'Scep', source: 'profile.root-choice', message: /"Root", which holds an intermediate CA/ }],
  },
  { name: 'one that links a root', documents: [trustedRoot(both), scep(both)], id: 'link-intermediate', finds: [] },
  { name: 'one that links nothing', documents: [scep(both)], id: 'link-intermediate', finds: [] },
])
