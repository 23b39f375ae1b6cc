import type { Fact, RemovalRow, SettingTreatment } from '@certfleet/platforms'

/** What a fact is made to say where neither its alternatives nor its kind tell another value that a check can see. */
const others: Readonly<Record<string, unknown>> = {
  'apple.renewal.after-expiry': 'enroll',
  'apple.renewal.begun-by': 'device',
  'apple.scep.renewal': 'RenewalReq',
  'apple.scep.signer': 'csr-subject',
  'apple.scep.urls': 'in-order',
  'android.scep.renewal': 'RenewalReq',
  'android.scep.urls': 'in-order',
  'android.scep.digest': 'profile',
  'ios.scep.needs-digest': 'off',
  'macos.scep.needs-digest': 'off',
  'key-type.rsa': 'ec',
  'android.identity.knox-silent': 'prompt',
  'android.identity.silent': 'prompt',
  'android.identity.aosp-silent': 'prompt',
  'android.root.by-hand': 'prompt',
  'android.root.prompt': 'silent',
  'android.identity.prompt': 'silent',
  'ios.trust.manual': 'at-once',
  'ios.trust.managed': 'by-user',
  'android.syncml.key-usage': { digitalSignature: 1, keyEncipherment: 2 },
  'android.syncml.key-storage': ['useSoftwareKsp', 'useSoftwareKsp', 'useSoftwareKsp', 'useSoftwareKsp'],
  'android.syncml.hash-names': { 'SHA-1': 'sha1', 'SHA-2': 'sha512' },
  'android.syncml.ca-thumbprint': 19,
  'android.syncml.san-types': { email: 11, dns: 3, uri: 7, upn: 2 },
  'windows.csp.key-usage': { digitalSignature: 1, keyEncipherment: 2 },
  'windows.csp.key-length': [3072],
  'windows.csp.key-protection': [
    'usePassportForWorkKspOtherwiseFail',
    'useTpmKspOtherwiseFail',
    'useTpmKspOtherwiseUseSoftwareKsp',
    'useSoftwareKsp',
  ],
  'windows.csp.hash-names': { 'SHA-1': 'sha1', 'SHA-2': 'sha512' },
  'windows.csp.ca-thumbprint': 19,
  'windows.csp.san-separators': '|+',
  'windows.csp.san-types': { email: 2, dns: 7, uri: 3, upn: 11 },
  'windows.csp.validity': ['Months', 'Days', 'Years'],
  'windows.csp.required-nodes': [],
  'windows.csp.install-nodes': ['RenewalThreshold'],
  'windows.csp.old-tree': {},
  'windows.key-usage.required': 0,
  'apple.scep-payload.key-usage': { digitalSignature: 4, keyEncipherment: 1 },
  'apple.error.22000': 22001,
  'apple.scep-payload.key-sizes': [3072],
  'apple.scep-payload.subject': { CN: '2.5.4.11', OU: '2.5.4.3' },
  'apple.scep-payload.alternative-names': { email: 'ntPrincipalName', dns: 'dNSName', uri: 'uniformResourceIdentifier', upn: 'rfc822Name' },
  'apple.profile.unique': {},
  'apple.certificate-payload.types': { root: 'com.apple.security.root' },
  'macos.profile.scope': { device: 'User', user: 'System' },
  'macos.scep-payload.no-key-usage': 'off',
  'macos.scep-payload.no-retries': 'off',
  'windows.scep.urls': 'first',
  'windows.passport.hash': 'sha512',
  'windows.passport.key-size': 4096,
  'windows.tpm.largest-key': 4096,
  'windows-phone.tpm.always': 'off',
  'apple.pfx.certificates': 2,
  'android.pfx.legacy': 'off',
  'windows.pfx.exportable': 1,
  'windows.pfx.key-location': [
    'useSoftwareKsp',
    'useTpmKspOtherwiseUseSoftwareKsp',
    'useTpmKspOtherwiseFail',
    'usePassportForWorkKspOtherwiseFail',
  ],
}

/** Another value for a fact: what it would say if it were not so. */
export function otherValue(fact: Fact): unknown {
  const { id, value, alternatives } = fact
  if (id in others) return others[id]
  if (alternatives?.[0] !== undefined) return alternatives[0]
  if (typeof value === 'boolean') return !value
  if (typeof value === 'number') return value + 1
  if (typeof value === 'string') return `${value}-other`
  if (isTreatment(value)) return { ...value, treatment: value.treatment === 'honoured' ? 'ignored' : 'honoured' }
  if (isRemoval(value)) return { ...value, device: value.device === 'removed' ? 'stays' : 'removed' }
  return 'off'
}

const isTreatment = (value: unknown): value is SettingTreatment => typeof value === 'object' && value !== null && 'treatment' in value
const isRemoval = (value: unknown): value is RemovalRow => typeof value === 'object' && value !== null && 'device' in value
