import { createHash } from 'node:crypto'
import { type AgentErrorCode, adviceByCode, type IssuanceState, type ProfileStanding } from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import {
  androidStateByCode,
  appleErrorByCode,
  appleErrorChain,
  appleErrors,
  factOverrides,
  issuanceStates,
  type Os,
  osStatusOf,
  osStatusText,
  parseOs,
  windowsErrorByCode,
  windowsErrors,
} from '@certfleet/platforms'
import t from 'tap'
import { testCa } from './certificates.ts'

const { root: certificate } = testCa(t.testdir())
const { notBefore, notAfter } = parseCertificate(certificate)
const windows = parseOs('windows', '11')
const phone = parseOs('windows', 'Phone 8.1')
const ios = parseOs('ios', '17.4')
const macos = parseOs('macos', '14')
const android = parseOs('android', '14')

interface Told {
  readonly message?: string
  readonly isPfx?: true
  readonly certificate?: Uint8Array
  readonly keyUsable?: boolean
  readonly respondentUrl?: string
  readonly at?: number
}

function standing(state: IssuanceState, code?: AgentErrorCode, told: Told = {}): ProfileStanding {
  const { message = 'why', ...rest } = told
  return { status: { state, ...(code && { code, message }) }, isPfx: false, keyUsable: true, at: notBefore, ...rest }
}

const failed = (code: AgentErrorCode, told: Told = {}) => standing('requestCreationFailed', code, told)
const there: Told = { certificate }
const thumbprint = createHash('sha1').update(certificate).digest('hex').toUpperCase()
const rejected = (text: string) => ({ message: `the CA rejected "Wi-Fi 0x80070005" (badRequest)${text}` })

const rows: readonly (readonly [factIds: string, what: string, standing: ProfileStanding, os: Os, expected: object])[] = [
  ['windows.status.values', 'nothing was tried', standing('unknown'), windows, { Status: 32, ErrorCode: 0, CertThumbprint: '' }],
  ['windows.status.values', 'the CA has not decided', standing('issuePending'), windows, { Status: 2, ErrorCode: 0, CertThumbprint: '' }],
  [
    'windows.status.values',
    'installed',
    standing('installed', undefined, there),
    phone,
    { Status: 1, ErrorCode: 0, CertThumbprint: thumbprint },
  ],
  [
    'windows.status.values',
    'under renewal',
    standing('renewalRequested', undefined, there),
    windows,
    { Status: 2, ErrorCode: 0, CertThumbprint: thumbprint },
  ],
  [
    'windows.status.values',
    'a renewal that failed',
    standing('renewalRequested', 'ERR_NETWORK', there),
    windows,
    { Status: 16, ErrorCode: -2147012889, hresult: '0x80072ee7', CertThumbprint: thumbprint },
  ],
  [
    'windows.status.values',
    'the profile failed before it began',
    standing('unknown', 'ERR_STATE_IO'),
    windows,
    { Status: 16, hresult: '0x80004005' },
  ],
  [
    'windows.status.values',
    'who answered',
    standing('installed', undefined, { ...there, respondentUrl: 'https://a' }),
    windows,
    { RespondentServerUrl: 'https://a' },
  ],
  [
    'windows.status.thumbprint',
    'the last moment',
    standing('installed', undefined, { ...there, at: notAfter }),
    windows,
    { CertThumbprint: thumbprint },
  ],
  [
    'windows.status.thumbprint',
    'expired',
    standing('installed', undefined, { ...there, at: notAfter + 1 }),
    windows,
    { Status: 1, CertThumbprint: '' },
  ],
  [
    'windows.status.thumbprint',
    'the key is gone',
    standing('installed', undefined, { ...there, keyUsable: false }),
    windows,
    { CertThumbprint: '' },
  ],
  [
    'windows.status.pfx',
    'imported',
    standing('installed', undefined, { ...there, isPfx: true }),
    windows,
    { Status: 0, Thumbprint: thumbprint },
  ],
  ['windows.status.pfx', 'not imported yet', standing('unknown', undefined, { isPfx: true }), windows, {}],
  [
    'windows.error.pfx-password',
    'a wrong password',
    failed('ERR_PFX_PASSWORD', { isPfx: true }),
    windows,
    { Status: 86, hresult: '0x00000056', Thumbprint: '' },
  ],
  [
    'windows.error.0x8009310b',
    'no PFX at all',
    failed('ERR_PFX_INVALID', { isPfx: true }),
    windows,
    { Status: -2146881269, Thumbprint: '' },
  ],
  [
    'windows.error.0x80094811',
    'what NDES itself told',
    failed('ERR_ENROLLMENT_REJECTED', rejected(': 0x80094811')),
    windows,
    { ErrorCode: -2146875375, hresult: '0x80094811' },
  ],
  [
    'windows.error.ndes',
    'behind a text',
    failed('ERR_ENROLLMENT_REJECTED', rejected(': too short, 0x80094811')),
    windows,
    { hresult: '0x80094811' },
  ],
  ['windows.error.ndes', 'a refusal without one', failed('ERR_ENROLLMENT_REJECTED', rejected('')), windows, { hresult: '0x80070057' }],
  [
    'windows.error.ndes',
    'one that is part of a text',
    failed('ERR_ENROLLMENT_REJECTED', rejected(': see 0x800948112')),
    windows,
    { hresult: '0x80070057' },
  ],
  [
    'windows.error.0x80072f8f',
    'TLS',
    failed('ERR_NETWORK', { message: 'POST https://ca: DEPTH_ZERO_SELF_SIGNED_CERT' }),
    windows,
    { hresult: '0x80072f8f' },
  ],
  [
    'windows.error.0x80072ee7',
    'a name',
    failed('ERR_NETWORK', { message: 'POST https://CERT_CA: ENOTFOUND' }),
    windows,
    { hresult: '0x80072ee7' },
  ],
  ['apple.status.answer', 'installed', standing('installed', undefined, there), ios, { Status: 'Acknowledged' }],
  ['apple.status.answer', 'no answer while it lasts', standing('issuePending'), macos, {}],
  ['apple.status.answer', 'nor while another certificate is asked for', standing('renewalRequested', undefined, there), ios, {}],
  [
    'apple.status.answer',
    'a renewal that failed',
    standing('renewalRequested', 'ERR_NETWORK', there),
    ios,
    { Status: 'Error', ErrorChain: Array },
  ],
  ['android.status.installed', 'installed', standing('installed', undefined, there), android, { state: 'CERT_ACCESS_GRANTED' }],
  [
    'android.status.installed',
    'a renewal that failed',
    standing('renewalRequested', 'ERR_NETWORK', there),
    android,
    { state: 'CERT_ACCESS_GRANTED' },
  ],
  ['android.status.states', 'no name for what failed', failed('ERR_NETWORK'), android, {}],
  ['android.status.not-installed', 'issued to somebody else', failed('ERR_CERTIFICATE_MISMATCH'), android, { state: 'CERT_ENROLLED' }],
  ['android.status.user-needed', 'the user has to act', failed('ERR_USER_ACTION_REQUIRED'), android, { state: 'CERT_INSTALL_REQUESTED' }],
]

for (const [factIds, what, given, os, expected] of rows) {
  t.test(`${factIds}: ${os.system}, ${what}`, async (t) => {
    const shown = osStatusOf(given, os)
    t.match(shown, expected)
    if (Object.keys(expected).length === 0) t.same(shown, {})
  })
}

const hresults: readonly (readonly [factId: string, value: number, codes: readonly AgentErrorCode[]])[] = [
  ['windows.error.0x80004005', 0x80004005, ['ERR_STATE_BUSY', 'ERR_STATE_INVALID', 'ERR_STATE_IO']],
  ['windows.error.0x80070005', 0x80070005, ['ERR_UNAUTHORIZED']],
  [
    'windows.error.0x80070057',
    0x80070057,
    [
      ...(['ERR_CERTIFICATE_REFUSED', 'ERR_ENROLLMENT_REJECTED', 'ERR_POLICY_INVALID', 'ERR_POLICY_ROLLBACK'] as const),
      ...(['ERR_PROFILE_INVALID', 'ERR_VARIABLE_UNRESOLVED'] as const),
    ],
  ],
  ['windows.error.0x800705b4', 0x800705b4, ['ERR_PENDING_TIMEOUT']],
  ['windows.error.0x80072ee7', 0x80072ee7, ['ERR_CHALLENGE_UNAVAILABLE', 'ERR_NETWORK', 'ERR_PFX_UNAVAILABLE']],
  ['windows.error.0x80072f78', 0x80072f78, ['ERR_LIMIT_EXCEEDED']],
  ['windows.error.0x80072f8f', 0x80072f8f, []],
  ['windows.error.0x80190001', 0x80190001, ['ERR_HTTP_STATUS']],
  ['windows.error.0x80280921', 0x80280921, ['ERR_KEY_STORAGE_LOCKED_OUT']],
  ['windows.error.0x80090005', 0x80090005, ['ERR_CMS_DECRYPT']],
  ['windows.error.0x80090006', 0x80090006, ['ERR_CMS_INVALID']],
  ['windows.error.0x80090008', 0x80090008, ['ERR_ALGORITHM_REFUSED']],
  ['windows.error.0x8009000e', 0x8009000e, ['ERR_KEY_STORAGE_FULL']],
  ['windows.error.0x8009000f', 0x8009000f, ['ERR_KEY_EXISTS']],
  ['windows.error.0x80090015', 0x80090015, ['ERR_CERTIFICATE_MISMATCH']],
  ['windows.error.0x80090016', 0x80090016, ['ERR_KEY_UNAVAILABLE']],
  ['windows.error.0x80090029', 0x80090029, ['ERR_UNSUPPORTED']],
  ['windows.error.0x8009002e', 0x8009002e, ['ERR_DEVICE_LOCKED', 'ERR_USER_ACTION_REQUIRED']],
  ['windows.error.0x80090030', 0x80090030, ['ERR_KEY_STORAGE_BUSY', 'ERR_KEY_STORAGE_UNAVAILABLE']],
  ['windows.error.0x80090033', 0x80090033, ['ERR_KEY_SECRET_REFUSED']],
  ['windows.error.0x80091006', 0x80091006, ['ERR_SCEP_MALFORMED', 'ERR_SCEP_REPLY_MISMATCH']],
  ['windows.error.0x80091007', 0x80091007, ['ERR_CA_UNTRUSTED']],
  ['windows.error.0x8009310b', 0x8009310b, ['ERR_DER_MALFORMED', 'ERR_PFX_INVALID']],
  ['windows.error.0x80094811', 0x80094811, []],
  ['windows.error.0x800b0101', 0x800b0101, ['ERR_CLOCK_SKEW', 'ERR_RENEWAL_MISSED']],
  ['windows.error.0x800b0109', 0x800b0109, ['ERR_ROOT_NOT_DEPLOYED', 'ERR_ROOT_NOT_INSTALLED']],
  ['windows.error.0x800b010a', 0x800b010a, ['ERR_CERTIFICATE_UNTRUSTED']],
  ['windows.error.pfx-password', 86, ['ERR_PFX_PASSWORD']],
]

const causesOf = (byCode: Readonly<Record<AgentErrorCode, string>>, name: string) =>
  Object.entries(byCode).flatMap(([code, of]) => (of === name ? [code] : []))

for (const [factId, value, codes] of hresults) {
  t.test(`${factId}: what leads to it`, async (t) => {
    const [name, fact] = Object.entries(windowsErrors).find(([, { id }]) => id === factId) ?? []
    t.equal(fact?.value, value)
    t.same(causesOf(windowsErrorByCode, name ?? ''), codes)
    for (const code of codes) t.match(osStatusOf(failed(code), windows), { Status: 16, ErrorCode: value | 0 })
  })
}

const appleRows: readonly (readonly [factId: string, domain: string, codes: readonly AgentErrorCode[]])[] = [
  ['apple.error.1000', 'MCProfileErrorDomain', ['ERR_POLICY_INVALID']],
  [
    'apple.error.1009',
    'MCProfileErrorDomain',
    [
      ...(['ERR_PFX_UNAVAILABLE', 'ERR_POLICY_ROLLBACK', 'ERR_RENEWAL_MISSED', 'ERR_ROOT_NOT_DEPLOYED'] as const),
      ...(['ERR_STATE_BUSY', 'ERR_STATE_INVALID', 'ERR_STATE_IO'] as const),
    ],
  ],
  ['apple.error.2002', 'MCPayloadErrorDomain', ['ERR_VARIABLE_UNRESOLVED']],
  ['apple.error.2004', 'MCPayloadErrorDomain', ['ERR_PROFILE_INVALID']],
  ['apple.error.4004', 'MCInstallationErrorDomain', ['ERR_USER_ACTION_REQUIRED']],
  ['apple.error.4009', 'MCInstallationErrorDomain', ['ERR_DEVICE_LOCKED']],
  ['apple.error.9000', 'MCCertificateErrorDomain', ['ERR_PFX_PASSWORD']],
  ['apple.error.9004', 'MCCertificateErrorDomain', ['ERR_ROOT_NOT_INSTALLED']],
  ['apple.error.9005', 'MCCertificateErrorDomain', ['ERR_CERTIFICATE_REFUSED', 'ERR_PFX_INVALID']],
  ['apple.error.22000', 'MCSCEPErrorDomain', []],
  [
    'apple.error.22001',
    'MCSCEPErrorDomain',
    [
      ...(['ERR_KEY_EXISTS', 'ERR_KEY_STORAGE_BUSY', 'ERR_KEY_STORAGE_FULL', 'ERR_KEY_STORAGE_LOCKED_OUT'] as const),
      'ERR_KEY_STORAGE_UNAVAILABLE',
    ],
  ],
  ['apple.error.22002', 'MCSCEPErrorDomain', ['ERR_CA_UNTRUSTED']],
  ['apple.error.22004', 'MCSCEPErrorDomain', ['ERR_UNSUPPORTED']],
  ['apple.error.22005', 'MCSCEPErrorDomain', ['ERR_NETWORK', 'ERR_UNAUTHORIZED']],
  ['apple.error.22006', 'MCSCEPErrorDomain', ['ERR_ALGORITHM_REFUSED']],
  ['apple.error.22007', 'MCSCEPErrorDomain', ['ERR_CERTIFICATE_MISMATCH', 'ERR_CERTIFICATE_UNTRUSTED']],
  ['apple.error.22008', 'MCSCEPErrorDomain', ['ERR_KEY_SECRET_REFUSED', 'ERR_KEY_UNAVAILABLE']],
  ['apple.error.22011', 'MCSCEPErrorDomain', ['ERR_CHALLENGE_UNAVAILABLE']],
  [
    'apple.error.22013',
    'MCSCEPErrorDomain',
    [
      ...(['ERR_CLOCK_SKEW', 'ERR_CMS_DECRYPT', 'ERR_CMS_INVALID', 'ERR_DER_MALFORMED', 'ERR_ENROLLMENT_REJECTED'] as const),
      ...(['ERR_HTTP_STATUS', 'ERR_LIMIT_EXCEEDED', 'ERR_PENDING_TIMEOUT', 'ERR_SCEP_MALFORMED', 'ERR_SCEP_REPLY_MISMATCH'] as const),
    ],
  ],
]

for (const [factId, domain, codes] of appleRows) {
  t.test(`${factId}: what leads to it`, async (t) => {
    const [name, fact] = Object.entries(appleErrors).find(([, { id }]) => id === factId) ?? []
    t.same(causesOf(appleErrorByCode, name ?? ''), codes)
    const ErrorCode = Number(factId.split('.').at(-1))
    t.match(appleErrorChain(fact?.value ?? 1000, ios).at(-1), { ErrorDomain: domain, ErrorCode })
    for (const code of codes) t.match(osStatusOf(failed(code), macos), { Status: 'Error', ErrorChain: Array })
  })
}

t.test('every row above is one of the tables, and none is missing', async (t) => {
  t.same(
    hresults.map(([id]) => id).sort(),
    Object.values(windowsErrors)
      .map(({ id }) => id)
      .sort(),
  )
  t.same(
    appleRows.map(([id]) => id).sort(),
    Object.values(appleErrors)
      .map(({ id }) => id)
      .sort(),
  )
})

t.test('apple.error.chain: outermost first, and the device that is locked says no more than that', async (t) => {
  const codesIn = (code: AgentErrorCode, os: Os) => {
    const shown = osStatusOf(failed(code), os)
    return 'ErrorChain' in shown ? shown.ErrorChain?.map(({ ErrorCode }) => ErrorCode) : undefined
  }
  t.same(codesIn('ERR_NETWORK', ios), [4001, 4001, 1009, 22005])
  t.same(codesIn('ERR_STATE_IO', ios), [4001, 4001, 1009])
  t.same(codesIn('ERR_DEVICE_LOCKED', ios), [4009])
  t.same(codesIn('ERR_NETWORK', parseOs('ios', '17', factOverrides({ 'apple.error.chain': 'off' }))), [22005])
})

t.test('what an embedder knows better', async (t) => {
  const overridden = (os: 'windows' | 'ios' | 'android', values: Record<string, unknown>) => parseOs(os, '14', factOverrides(values))
  t.match(osStatusOf(failed('ERR_CA_UNTRUSTED'), overridden('windows', { 'windows.error.0x80091007': 0x80090016 })), {
    hresult: '0x80090016',
  })
  t.match(osStatusText(failed('ERR_HTTP_STATUS'), overridden('ios', { 'apple.error.22013': 22002 })), /MCSCEPErrorDomain 22002/)
  t.match(osStatusOf(failed('ERR_ENROLLMENT_REJECTED', rejected(': 0x80094811')), overridden('windows', { 'windows.error.ndes': false })), {
    hresult: '0x80070057',
  })
  t.match(osStatusOf(failed('ERR_DEVICE_LOCKED'), overridden('android', { 'android.status.user-needed': 'CERT_INSTALLING' })), {
    state: 'CERT_INSTALLING',
  })
  t.throws(() => factOverrides({ 'apple.error.22013': 22099 }), { code: 'ERR_UNSUPPORTED' })
})

t.test('every failure has something to show, or is known to have nothing', async (t) => {
  for (const code of Object.keys(adviceByCode) as AgentErrorCode[]) {
    t.match(osStatusText(failed(code), windows), /^Windows would show: Status 16, ErrorCode 0x[0-9a-f]{8}$/, code)
    t.match(osStatusText(failed(code), ios), /^iOS would show: MC[A-Za-z]+ErrorDomain \d+, /, code)
    t.ok(androidStateByCode[code], code)
  }
})

t.test('half a line of text', async (t) => {
  t.equal(osStatusText(failed('ERR_CA_UNTRUSTED'), windows), 'Windows would show: Status 16, ErrorCode 0x80091007')
  t.equal(osStatusText(failed('ERR_PFX_PASSWORD', { isPfx: true }), windows), 'Windows would show: Status 0x00000056')
  t.equal(osStatusText(standing('unknown', undefined, { isPfx: true }), windows), 'Windows would show: nothing yet')
  t.equal(osStatusText(standing('installed', undefined, there), phone), 'Windows Phone would show: Status 1')
  t.equal(osStatusText(failed('ERR_NETWORK'), macos), 'macOS would show: MCSCEPErrorDomain 22005, the network failed')
  t.equal(osStatusText(standing('installed'), ios), 'iOS would show: Acknowledged')
  t.equal(osStatusText(standing('issuePending'), ios), 'iOS would show: nothing yet')
  t.equal(osStatusText(failed('ERR_NETWORK'), android), 'Android would show: no state, since none is known of it')
})

t.test('status.issuance-states: 23, in the order of Graph', async (t) => {
  const values = Object.values(issuanceStates).map(({ value }) => value)
  t.same(
    values,
    Array.from({ length: 23 }, (_, value) => value),
  )
  t.match(issuanceStates, { challengeValidationFailed: { value: 6 }, revoked: { value: 14 }, requested: { value: 22 } })
})
