import t from 'tap'
import { type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { corpus } from './checked.ts'

const url = 'https://ndes.example/certsrv/mscep/mscep.dll'
/** Of the CA that has the profiles of the corpus: members in YAML. */
const ca = (members: string) => `authorities: [{scepUrls: ['${url}'], ${members}}]`
const lifetime = (value: number, scale: 'days' | 'months' | 'years'): Json => ({
  certificateValidityPeriodValue: value,
  certificateValidityPeriodScale: scale,
})
const windows = (members: Json = {}) => [trustedRoot(), scep(members)]
const ios = (members: Json = {}) => [
  trustedRoot({ '@odata.type': '#microsoft.graph.iosTrustedRootCertificate' }),
  scep({ '@odata.type': '#microsoft.graph.iosScepCertificateProfile', ...members }),
]
const usages = (...oids: string[]): Json => ({ extendedKeyUsages: oids.map((objectIdentifier) => ({ name: 'usage', objectIdentifier })) })
const clientAuth = '1.3.6.1.5.5.7.3.2'
const mail = '1.3.6.1.5.5.7.3.4'

corpus(t, [
  {
    name: 'a year more than the template gives',
    id: 'validity-beyond-template',
    documents: windows(lifetime(2, 'years')),
    tenant: ca('validity: 1 year'),
    finds: [
      {
        severity: 'warning',
        profileId: 'scep-1',
        device: undefined,
        message: 'a lifetime of 2 years is asked for, and the template of the CA (tenant.yaml authorities[0]) gives 1 year at most',
        action: /1 year/,
        source: 'ca.longest-validity',
      },
    ],
  },
  {
    name: 'on iOS the template alone decides',
    id: 'validity-beyond-template',
    documents: ios(lifetime(2, 'years')),
    tenant: ca('validity: 12 months'),
    finds: [{ message: /OS cannot ask: the certificate lives for the 12 months/, source: 'validity.apple-template' }],
  },
  {
    name: 'a day more',
    id: 'validity-beyond-template',
    documents: windows(lifetime(366, 'days')),
    tenant: ca('validity: 1 years'),
    finds: [{}],
  },
  {
    name: 'as long, in another unit',
    id: 'validity-beyond-template',
    documents: windows(lifetime(365, 'days')),
    tenant: ca('validity: 12 months'),
    finds: [],
  },
  { name: 'shorter', id: 'validity-beyond-template', documents: windows(), tenant: ca('validity: 13 months'), finds: [] },
  { name: 'a template of no known lifetime', id: 'validity-beyond-template', documents: windows(), tenant: ca('template: X'), finds: [] },
  { name: 'no tenant', id: 'validity-beyond-template', documents: windows(lifetime(9, 'years')), finds: [] },
  {
    name: 'a CA at another URL',
    id: 'validity-beyond-template',
    documents: windows(lifetime(2, 'years')),
    tenant: "authorities: [{scepUrls: ['https://ndes.example/certsrv/mscep2/mscep.dll'], validity: 1 year}]",
    finds: [],
  },
  {
    name: 'the URL with its host in capitals and its port named',
    id: 'validity-beyond-template',
    documents: windows(lifetime(2, 'years')),
    tenant: "authorities: [{scepUrls: ['https://NDES.example:443/certsrv/mscep/mscep.dll'], validity: 1 year}]",
    finds: [{}],
  },
  {
    name: 'one of several URLs, each by its CA',
    id: 'validity-beyond-template',
    documents: windows({ ...lifetime(2, 'years'), scepServerUrls: ['https://other.example/scep', url] }),
    tenant: `authorities: [{scepUrls: ['${url}'], validity: 1 year}, {scepUrls: ['https://other.example/scep'], validity: 18 months}]`,
    finds: [{ message: /authorities\[0\]\) gives 1 year/ }, { message: /authorities\[1\]\) gives 18 months/ }],
  },
  {
    name: 'a PKCS profile by the name of its template',
    id: 'validity-beyond-template',
    documents: [trustedRoot(), pkcs(lifetime(2, 'years'))],
    tenant: 'authorities: [{template: USER, validity: 1 year}, {template: Users, validity: 1 year}]',
    finds: [{ profileId: 'pkcs-1', message: /authorities\[0\]/ }],
  },
  {
    name: 'a SCEP profile names no template',
    id: 'validity-beyond-template',
    documents: windows(lifetime(2, 'years')),
    tenant: 'authorities: [{template: User, validity: 1 year}]',
    finds: [],
  },

  {
    name: 'the CA ends the day before',
    id: 'validity-beyond-ca',
    documents: windows(),
    tenant: ca('expires: 2027-11-22'),
    finds: [
      {
        severity: 'warning',
        message: 'a certificate that is issued now ends with the CA (tenant.yaml authorities[0]) on 2027-11-22 instead of 2027-11-23',
        source: 'ca.longest-validity',
      },
    ],
  },
  {
    name: 'the CA ends with the certificate',
    id: 'validity-beyond-ca',
    documents: windows(),
    tenant: ca('expires: 2027-11-23'),
    finds: [],
  },
  {
    name: 'the template ends it in time',
    id: 'validity-beyond-ca',
    documents: windows(lifetime(5, 'years')),
    tenant: ca('expires: 2027-11-22, validity: 11 months'),
    finds: [],
  },
  {
    name: 'on iOS a short lifetime ends nothing in time',
    id: 'validity-beyond-ca',
    documents: ios(lifetime(30, 'days')),
    tenant: ca('expires: 2027-11-22, validity: 1 year'),
    finds: [{ message: /instead of 2027-11-23/ }],
  },
  {
    name: 'a lifetime beyond all dates',
    id: 'validity-beyond-ca',
    documents: windows(lifetime(2_000_000, 'years')),
    tenant: ca('expires: 2030-01-01'),
    finds: [{ message: /on 2030-01-01$/ }],
  },
  {
    name: 'the CA is over since this moment',
    id: 'validity-beyond-ca',
    documents: windows(),
    tenant: ca('expires: 2026-11-23'),
    finds: [{ severity: 'error', message: /ended on 2026-11-23/ }],
  },
  {
    name: 'the CA has a day left',
    id: 'validity-beyond-ca',
    documents: windows(),
    tenant: ca('expires: 2026-11-24'),
    finds: [{ severity: 'warning' }],
  },

  {
    name: 'a usage that the template lacks',
    id: 'eku-not-in-template',
    documents: windows(usages(clientAuth, mail)),
    tenant: ca(`extendedKeyUsages: [${clientAuth}]`),
    finds: [
      {
        severity: 'warning',
        message: /does not give the extended key usage 1\.3\.6\.1\.5\.5\.7\.3\.4: /,
        source: 'extended-key-usage.honoured; ca.template-purpose',
      },
    ],
  },
  {
    name: 'on iOS too, where the CA decides it',
    id: 'eku-not-in-template',
    documents: ios(usages(mail)),
    tenant: ca(`extendedKeyUsages: [${clientAuth}]`),
    finds: [{ source: /^extended-key-usage\.apple-ignored/ }],
  },
  {
    name: 'all of them given',
    id: 'eku-not-in-template',
    documents: windows(usages(clientAuth)),
    tenant: ca(`extendedKeyUsages: [${mail}, ${clientAuth}]`),
    finds: [],
  },
  {
    name: 'a template for every purpose',
    id: 'eku-not-in-template',
    documents: windows(usages(mail)),
    tenant: ca('extendedKeyUsages: [2.5.29.37.0]'),
    finds: [],
  },
  { name: 'usages not known', id: 'eku-not-in-template', documents: windows(usages(mail)), tenant: ca('validity: 1 year'), finds: [] },
  {
    name: 'a template for nothing',
    id: 'eku-not-in-template',
    documents: windows(usages(clientAuth)),
    tenant: ca('extendedKeyUsages: []'),
    finds: [{}],
  },
])
