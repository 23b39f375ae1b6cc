import type { Check } from '../check.ts'
import { atomic, command, enroll, pfxMessage, scepAdds, scepMessage, syncMl, thumbprint } from '../messages.ts'
import { onWindows } from './readings.ts'

const tree = './Device/Vendor/MSFT/ClientCertificateInstall'
const stores = 'Vendor/MSFT/RootCATrustedCertificates'
const older = './Vendor/MSFT/CertificateStore'
/** What nobody reads here, with its SHA-1. */
const blob = { base64: 'AQI=', sha1: '0CA623E2855F2C75C842AD302FE820E41B4D197D' }

/** How Windows carries out the commands of a message. */
export const syncMlCommandChecks: readonly Check[] = [
  onWindows({
    id: 'install-nodes',
    given: 'a node below Install that the CSP does not know',
    text: scepMessage({ RenewalThreshold: '20' }),
    of: ({ skipped }) => skipped,
    is: ['wifi: no node is called renewalthreshold'],
    facts: ['windows.csp.install-nodes'],
    source: 'W-DDF Install',
  }),
  onWindows({
    id: 'atomic',
    given: 'a SCEP request outside an Atomic',
    text: syncMl(...scepAdds(), enroll),
    facts: ['windows.csp.atomic'],
    source: 'W-CCI introduction',
  }),
  onWindows({
    id: 'enroll.missing',
    given: 'a SCEP request without Exec of Enroll',
    text: syncMl(atomic(...scepAdds())),
    facts: ['windows.csp.enroll-last'],
    source: 'W-CCI introduction',
  }),
  onWindows({
    id: 'enroll.not-last',
    given: 'a node that is added after Enroll, in the same Atomic',
    text: syncMl(atomic(...scepAdds(), enroll, command('Add', `${tree}/SCEP/wifi/Install/RetryCount`, '9'))),
    facts: ['windows.csp.enroll-last'],
    source: 'W-CCI introduction',
  }),
  onWindows({
    id: 'snapshot',
    given: 'a node that is replaced after Enroll was accepted',
    text: syncMl(atomic(...scepAdds(), enroll), command('Replace', `${tree}/SCEP/wifi/Install/SubjectName`, 'CN=eve')),
    is: { subject: 'CN=ada' },
    facts: ['windows.csp.snapshot'],
    source: 'W-CCI Install',
  }),
  onWindows({
    id: 'existing',
    given: 'a node that is added twice',
    text: syncMl(atomic(...scepAdds(), command('Add', `${tree}/SCEP/wifi/Install/KeyLength`, '2048'), enroll)),
    names: 'status 418',
    facts: ['windows.csp.existing-node'],
    source: 'MS-DM status codes',
  }),
  onWindows({
    id: 'get-in-atomic',
    given: 'Get in an Atomic',
    text: syncMl(atomic(...scepAdds(), command('Get', `${tree}/SCEP/wifi`), enroll)),
    names: 'status 500',
    facts: ['windows.csp.atomic-commands'],
    source: 'MS-DM Atomic',
  }),
  onWindows({
    id: 'malformed',
    given: 'a command without a CmdID',
    text: scepMessage().replace('<Exec><CmdID>1</CmdID>', '<Exec>'),
    names: 'status 400',
    facts: ['windows.csp.malformed-command'],
    source: 'MS-DM CmdID',
  }),
  onWindows({
    id: 'caseless',
    given: 'paths in another case',
    text: scepMessage({ KeyLength: '1024' }).replaceAll(
      '/Vendor/MSFT/ClientCertificateInstall/SCEP',
      '/VENDOR/msft/clientCERTIFICATEinstall/scep',
    ),
    is: { keyBits: 1024 },
    facts: ['windows.csp.caseless-paths'],
    source: 'W-CS introduction',
  }),
  onWindows({
    id: 'old-tree',
    given: 'a request in the older tree, with HashAlgrithm',
    text: syncMl(
      atomic(
        ...scepAdds({ HashAlgorithm: undefined, HashAlgrithm: 'SHA-2' }, `${older}/MY/SCEP/wifi/Install`),
        command('Exec', `${older}/MY/SCEP/wifi/Install/Enroll`),
      ),
    ),
    is: { hashes: ['sha256'] },
    facts: ['windows.csp.old-tree'],
    source: 'W-CS MY/SCEP',
  }),
  onWindows({
    id: 'store-replace',
    given: 'Replace of a root in the older tree that is not there',
    text: syncMl(command('Replace', `${older}/ROOT/System/${blob.sha1}/EncodedCertificate`, blob.base64)),
    names: 'status 404',
    facts: ['windows.csp.store-replace'],
    source: 'W-CS introduction',
  }),
  onWindows({
    id: 'root',
    given: 'a certificate under its SHA-1 in the CA node of the user',
    text: syncMl(command('Add', `./User/${stores}/CA/${blob.sha1}/EncodedCertificate`, blob.base64)),
    of: ({ roots }) => roots.map(({ destinationStore }) => destinationStore),
    is: ['user-intermediate'],
    facts: ['windows.csp.root-nodes'],
    source: 'W-ROOT CA; SEED S20',
  }),
  onWindows({
    id: 'root.user',
    given: 'a certificate in a Root node of the user',
    text: syncMl(command('Add', `./User/${stores}/Root/${blob.sha1}/EncodedCertificate`, blob.base64)),
    facts: ['windows.csp.no-user-root'],
    source: 'W-ROOT Root',
  }),
  onWindows({
    id: 'root.mismatch',
    given: 'a certificate under the SHA-1 of another one',
    text: syncMl(command('Add', `./Device/${stores}/Root/${thumbprint}/EncodedCertificate`, blob.base64)),
    names: 'status 500',
    facts: ['windows.csp.root-mismatch'],
    source: 'W-ROOT CertHash',
  }),
  onWindows({
    id: 'pfx.exportable',
    given: 'PFXKeyExportable with KeyLocation 1',
    text: pfxMessage({ KeyLocation: '1', PFXKeyExportable: 'true' }),
    facts: ['windows.pfx.exportable'],
    source: 'W-CCI PFXCertInstall PFXKeyExportable',
  }),
  onWindows({
    id: 'pfx.exportable.software',
    given: 'PFXKeyExportable with KeyLocation 3',
    text: pfxMessage({ PFXKeyExportable: 'true' }),
    of: ({ pfx }) => pfx.map(({ exportable, keyStorage }) => [exportable, keyStorage]),
    is: [[true, 'useSoftwareKsp']],
    facts: ['windows.pfx.key-location'],
    source: 'W-CCI PFXCertInstall PFXKeyExportable, KeyLocation',
  }),
  onWindows({
    id: 'pfx.nodes',
    given: 'a PFX without its blob',
    text: pfxMessage({ PFXCertBlob: undefined }),
    facts: ['windows.csp.pfx-nodes'],
    source: 'W-CCI PFXCertInstall',
  }),
  onWindows({
    id: 'pfx.password',
    given: 'a PFX whose password is encrypted for a certificate of the device',
    text: pfxMessage({ PFXCertPasswordEncryptionType: '1' }),
    of: ({ pfx, skipped }) => [pfx.length, skipped.length],
    is: [0, 1],
    facts: ['windows.csp.pfx-password'],
    source: 'W-CCI PFXCertInstall PFXCertPasswordEncryptionType',
  }),
  onWindows({
    id: 'pfx.replace',
    given: 'Replace of a blob that is not there',
    text: pfxMessage()
      .replace(/<Add>(?=(?:(?!<Add>).)*PFXCertBlob)/, '<Replace>')
      .replace(/<\/Add><\/Atomic>/, '</Replace></Atomic>'),
    facts: ['windows.pfx.replace'],
    source: 'W-CCI PFXCertInstall PFXCertBlob',
  }),
  onWindows({
    id: 'pfx.add',
    given: 'Add of a blob where there is one',
    text: syncMl(pfxMessage().replace(/.*<SyncBody>|<Final.*/g, ''), command('Add', `${tree}/PFXCertInstall/mail/PFXCertBlob`, 'AQI=')),
    names: 'status 418',
    facts: ['windows.pfx.replace'],
    source: 'W-CCI PFXCertInstall PFXCertBlob',
  }),
]
