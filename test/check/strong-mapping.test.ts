import t from 'tap'
import { type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { type CorpusRow, corpus } from './checked.ts'

const uri = (name: string): Json => ({ customSubjectAlternativeNames: [{ sanType: 'universalResourceIdentifier', name }] })
const machine: Json = { certificateStore: 'machine' }
const usage = (objectIdentifier: string): Json => ({ extendedKeyUsages: [{ name: 'x', objectIdentifier }] })

const missing = { severity: 'warning', profileId: 'scep-1', device: undefined, source: 'subject.sid-enforced', action: /URI/ } as const

function row(name: string, type: string, members: Json, ...finds: CorpusRow['finds']): CorpusRow {
  return { name, documents: [trustedRoot(), scep({ '@odata.type': `#microsoft.graph.${type}`, ...members })], id: 'sid-missing', finds }
}

corpus(t, [
  row('a user of Windows', 'windows81SCEPCertificateProfile', {}, { ...missing, message: /of its user: .*KB5014754/ }),
  row('a device of Windows', 'windows81SCEPCertificateProfile', machine, { ...missing, message: /of its device:/ }),
  row('a user of iOS', 'iosScepCertificateProfile', {}, missing),
  row('a user of macOS', 'macOSScepCertificateProfile', {}, missing),
  row('a device of iOS cannot hold one', 'iosScepCertificateProfile', machine, { severity: 'info', source: 'subject.sid-apple' }),
  row('a device of macOS cannot hold one', 'macOSScepCertificateProfile', machine, { severity: 'info', source: 'subject.sid-apple' }),
  row('Android has none', 'androidWorkProfileScepCertificateProfile', {}),
  row('Windows Phone has none', 'windowsPhone81SCEPCertificateProfile', {}),
  row('subject.sid: by its variable', 'windows81SCEPCertificateProfile', uri('{{OnPremisesSecurityIdentifier}}')),
  row('by its variable in other case', 'windows81SCEPCertificateProfile', uri('{{ onpremisesSecurityIdentifier }}')),
  row('as it stands', 'windows81SCEPCertificateProfile', uri('tag:microsoft.com,2022-09-14:sid:S-1-5-21-1')),
  row('another URI', 'windows81SCEPCertificateProfile', uri('urn:device:{{DeviceId}}'), missing),
  row(
    'the variable where no domain controller looks',
    'windows81SCEPCertificateProfile',
    { customSubjectAlternativeNames: [{ sanType: 'domainNameService', name: '{{OnPremisesSecurityIdentifier}}' }] },
    missing,
  ),
  row('no logon: email protection', 'windows81SCEPCertificateProfile', usage('1.3.6.1.5.5.7.3.4')),
  row('smart card logon', 'windows81SCEPCertificateProfile', usage('1.3.6.1.4.1.311.20.2.2'), missing),
  row('no purpose named', 'windows81SCEPCertificateProfile', { extendedKeyUsages: [] }, missing),
  { name: 'PKCS: the connector has it', documents: [trustedRoot(), pkcs()], id: 'sid-missing', finds: [] },
])
