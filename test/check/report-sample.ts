import type { CheckReportParts } from '#emulator/check/html/index.ts'
import { type CheckFinding, type CheckInput, type CheckResult, checkContext } from '#emulator/check/index.ts'
import { bindTo, importedPfx, type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { inputOf } from './checked.ts'

const to = (...groups: string[]): Json => ({
  assignments: groups.map((groupId) => ({
    target:
      groupId === 'users' || groupId === 'devices'
        ? { '@odata.type': `#microsoft.graph.all${groupId === 'users' ? 'LicensedUsers' : 'Devices'}AssignmentTarget` }
        : { '@odata.type': '#microsoft.graph.groupAssignmentTarget', groupId },
  })),
})
const type = (name: string): Json => ({ '@odata.type': `#microsoft.graph.${name}` })
const by = (id: string): Json => ({ 'rootCertificate@odata.bind': bindTo(id) })
const user: Json = { certificateStore: 'user', subjectNameFormatString: 'CN={{UserName}},E={{EmailAddress}}' }

const documents: readonly Json[] = [
  trustedRoot({ id: 'root-win', displayName: 'Contoso Root CA (Windows)', ...to('devices', 'users') }),
  trustedRoot({ ...type('iosTrustedRootCertificate'), id: 'root-ios', displayName: 'Contoso Root CA (iOS)', ...to('users') }),
  trustedRoot({ ...type('macOSTrustedRootCertificate'), id: 'root-mac', displayName: 'Contoso Root CA (macOS)', ...to('devices') }),
  trustedRoot({
    ...type('androidWorkProfileTrustedRootCertificate'),
    id: 'root-and',
    displayName: 'Contoso Root CA (Android)',
    ...to('users'),
  }),
  scep({ id: 'scep-win', displayName: 'Wi-Fi machine certificate', certificateStore: 'machine', ...by('root-win'), ...to('devices') }),
  scep({ ...type('iosScepCertificateProfile'), id: 'scep-ios', displayName: 'Wi-Fi iPhone', ...by('root-ios'), ...user, ...to('users') }),
  scep({ ...type('macOSScepCertificateProfile'), id: 'scep-mac', displayName: 'VPN Mac', ...by('root-mac'), ...to('devices') }),
  scep({
    ...type('androidWorkProfileScepCertificateProfile'),
    ...{ id: 'scep-and', displayName: 'Wi-Fi Android work profile', ...by('root-and'), ...user, ...to('pilot') },
  }),
  scep({ id: 'scep-broken', displayName: 'Old NDES (do not use)', keySize: 'size512', ...to('devices') }),
  pkcs({ id: 'pkcs-win', displayName: 'S/MIME signing', ...by('root-win'), ...to('users') }),
  importedPfx({ id: 'pfx-win', displayName: 'S/MIME encryption history', ...by('root-win'), ...to('devices') }),
  pkcs({ ...type('iosPkcsCertificateProfile'), id: 'pkcs-ios', displayName: 'Mail on iPhone', ...by('root-ios') }),
]

const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i + 1)
const osVersions = { ios: '18.1', macos: '15.1', android: '15', windows: '10.0.26100' } as const

/** So many devices of each platform, every fourth without a user, and one PC of Windows 8.1. */
function tenantYaml(each: number): string {
  const devices = Object.entries(osVersions).flatMap(([platform, osVersion]) =>
    numbers(each).map((i) =>
      [
        `  - id: ${platform}-${String(i).padStart(4, '0')}`,
        `platform: ${platform}`,
        `osVersion: ${platform === 'windows' && i === 1 ? '6.3.9600' : osVersion}`,
        `deviceName: ${platform.toUpperCase()}-${String(i).padStart(4, '0')}`,
        ...(i % 4 === 0 ? [] : [`user: user-${i}`]),
        ...(platform === 'android' ? ['management: workProfile'] : []),
      ].join('\n    '),
    ),
  )
  const users = numbers(each).map((i) => `  - id: user-${i}\n    upn: user${i}@contoso.example`)
  const members = numbers(Math.ceil(each / 2)).map((i) => `user-${i}`)
  const groups = `  - id: pilot\n    name: Pilot users\n    users: [${members.join(', ')}]`
  return `users:\n${users.join('\n')}\ndevices:\n${devices.join('\n')}\ngroups:\n${groups}\n`
}

type Said = Partial<CheckFinding> & Pick<CheckFinding, 'id' | 'severity' | 'message'>

const profileNames = new Map(documents.map(({ id, displayName }) => [id as string, displayName as string]))

function of(profileId: string, said: Said, ...devices: readonly string[]): CheckFinding[] {
  const about = { profileId, profile: profileNames.get(profileId) as string }
  return devices.length === 0 ? [{ ...about, ...said }] : devices.map((device) => ({ ...about, ...said, device }))
}

const named = (platform: string, ...indices: readonly number[]) => indices.map((i) => `${platform}-${String(i).padStart(4, '0')}`)

function findings(each: number): readonly CheckFinding[] {
  const userless = numbers(each).filter((i) => i % 4 === 0)
  return [
    ...of(
      'scep-ios',
      {
        id: 'variable-unresolved',
        severity: 'error',
        message:
          'The profile fails before the device asks for anything: {{EmailAddress}} stands for the email address of the user, and the user has none.',
        action: 'give these users an email address, or use {{UserPrincipalName}} instead',
        source: 'variables.unresolved',
        code: 'ERR_VARIABLE_UNRESOLVED',
        shown: 'status Error, "The profile could not be installed"',
        emulation: 'confirmed',
      },
      ...named('ios', 1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14),
    ),
    ...of(
      'scep-win',
      {
        id: 'key-storage-missing',
        severity: 'error',
        message: 'The profile keeps its key in the TPM and nowhere else, and the device has no TPM that is ready.',
        action: 'choose "TPM, otherwise software", or leave these devices out',
        source: 'M-SCEP',
        shown: 'NTE_DEVICE_NOT_READY (0x80090030)',
        emulation: 'confirmed',
      },
      ...named('windows', 2, 3),
    ),
    ...of(
      'scep-win',
      {
        id: 'key-storage-missing',
        severity: 'error',
        message: 'The profile keeps its key in the TPM and nowhere else, and the device has no TPM that is ready.',
        emulation: 'refuted',
      },
      ...named('windows', 5),
    ),
    ...of(
      'pfx-win',
      {
        id: 'pfx-without-user',
        severity: 'error',
        message: 'An imported PFX is for a user, and nobody uses the device.',
        action: 'assign the profile to users',
        source: 'SEED S13',
      },
      ...named('windows', ...userless),
    ),
    ...of('scep-mac', {
      id: 'validity-beyond-template',
      severity: 'warning',
      message: 'The profile asks for one year; the template "Mac" gives 180 days, and the device will get that.',
      action: 'raise the template, or ask for less',
      source: 'M-SCEP Certificate validity period',
    }),
    ...of(
      'scep-and',
      {
        id: 'android-san-missing',
        severity: 'warning',
        message: 'Android asks for a subject alternative name, and the profile has none: some Wi-Fi clients refuse the certificate.',
        action: 'add one of the kind UPN',
        source: 'M-SCEP Subject alternative name',
      },
      ...named('android', 1, 2),
    ),
    ...of(
      'pkcs-win',
      {
        id: 'sid-missing',
        severity: 'warning',
        message: 'The certificate holds no security identifier: a domain controller in enforcement refuses it for signing in.',
        action: 'add a URI name of {{OnPremisesSecurityIdentifier}}',
        source: 'subject.sid',
      },
      ...named('windows', 1, 2, 3),
    ),
    ...of('pkcs-ios', {
      id: 'profile-unassigned',
      severity: 'warning',
      message: 'The profile has no assignment: it reaches nobody.',
      action: 'assign it, or delete it',
      source: 'profile.targets',
    }),
    ...of('scep-win', {
      id: 'removal-leaves',
      severity: 'info',
      message: 'Once the profile is gone the certificate stays good until it expires: nothing revokes it.',
      source: 'M-RM',
    }),
    ...['scep-ios', 'scep-win'].flatMap((id) => {
      const platform = id === 'scep-ios' ? 'ios' : 'windows'
      return numbers(each).flatMap((i) =>
        of(
          id,
          {
            id: 'names-sent',
            severity: 'info',
            message: `subject CN=user${i}, E="user${i}, contoso@contoso.example"; no alternative name`,
            source: 'M-SCEP',
          },
          ...named(platform, i),
        ),
      )
    }),
  ]
}

/** A company with something wrong of every kind. */
export function sampleReport({ each = 24, more = [] as readonly CheckFinding[] } = {}): CheckReportParts {
  const input: CheckInput = inputOf(documents, tenantYaml(each))
  return { ...reportOf(input, [...findings(each), ...more]), answers, emulation: emulated }
}

/** Nothing but what an import says. */
export function reportOf(input: CheckInput, more: readonly CheckFinding[] = []): CheckReportParts {
  const { context, findings: joined } = checkContext(input)
  const devices = [...(input.tenant?.devices.keys() ?? [])]
  const result: CheckResult = { context, devices, findings: [...input.imported.findings, ...joined, ...more] }
  return { result, answers: [], at: input.now }
}

const answers: CheckReportParts['answers'] = [
  { question: 'Does each certificate find its root on the device?', answered: 'yes' },
  {
    question: 'Does the CA that answers lead to the linked root?',
    answered: 'no',
    missing: 'the SCEP servers were not asked: run the check with --probe where they can be reached',
  },
  {
    question: 'Does the template give what is asked for?',
    answered: 'in-part',
    missing: 'the tenant file names one CA of two: add the other under "authorities"',
  },
]

const emulated: NonNullable<CheckReportParts['emulation']> = {
  findings: [],
  devices: 96,
  notEmulated: 3,
  disagreements: [
    {
      device: 'windows-0005',
      profile: 'Wi-Fi machine certificate',
      profileId: 'scep-win',
      predicted: 'ERR_KEY_STORAGE_UNAVAILABLE',
      emulated: 'installed, its key in software',
    },
  ],
}

/** What tries to be markup, to end what it stands in, or to turn the line around; and is long. */
export const hostile = `</h2></script><script>document.documentElement.dataset.hit=1</script><img src=x onerror="document.documentElement.dataset.hit=1">"'&\u202egnp.exe\u2066\u0000\ud800${'A'.repeat(10_000)}`

/** Of a profile that is taken. */
const hostileName = hostile.replaceAll(/[\0\ud800]/g, '').slice(0, 1000)

export function hostileReport(): CheckReportParts {
  const document = scep({
    id: 'scep-1',
    displayName: hostileName,
    subjectNameFormatString: `CN=${'<b>&'.repeat(40)}`,
    ...to('devices', hostile),
  })
  const input = inputOf(
    [trustedRoot({ displayName: hostile, ...to('devices') }), document],
    `devices:\n  - id: "<i>'dev"\n    platform: windows\n    osVersion: 10.0.26100\n    deviceName: ${JSON.stringify(hostile)}\n`,
  )
  const said: CheckFinding = {
    id: 'subject-quoted',
    severity: 'error',
    profile: hostileName,
    profileId: 'scep-1',
    device: "<i>'dev",
    file: hostile,
    path: hostile,
    message: hostile,
    action: hostile,
    source: hostile,
    shown: hostile,
  }
  const emulation = {
    ...emulated,
    disagreements: [{ device: hostile, profile: hostile, profileId: hostile, predicted: hostile, emulated: hostile }],
  }
  const parts = reportOf(input, [
    said,
    { ...said, id: 'names-sent', severity: 'info' },
    { ...said, id: 'nobody-reached', device: hostile, profileId: 'none' },
  ])
  return { ...parts, answers: [{ question: 'What is this?', answered: 'no', missing: hostile }], emulation, scope: { device: "<i>'dev" } }
}

const platforms = Object.keys(osVersions) as (keyof typeof osVersions)[]
const types = {
  ios: 'iosScepCertificateProfile',
  macos: 'macOSScepCertificateProfile',
  android: 'androidWorkProfileScepCertificateProfile',
  windows: 'windows81SCEPCertificateProfile',
} as const

/** 2,000 profiles in groups of ten, 10,000 devices that are in one group each, and 100,000 findings: no two have the same message. */
export function largeReport({ profiles = 2000, devices = 10_000 } = {}): CheckReportParts {
  const groups = profiles / 10
  const documents = numbers(profiles).map((i) => {
    const group = i % groups
    return scep({
      ...type(types[platforms[group % 4] as 'ios']),
      id: `p${i}`,
      displayName: `Profile ${i} ${'long name '.repeat(8)}`,
      ...to(`g${group}`),
    })
  })
  const all = numbers(devices).map((i) => ({ id: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`, group: i % groups }))
  const yaml = all.map(
    ({ id, group }) => `  - {id: ${id}, platform: ${platforms[group % 4]}, osVersion: ${osVersions[platforms[group % 4] as 'ios']}}`,
  )
  const members = numbers(groups).map(
    (i) => `  - {id: g${i % groups}, name: Group ${i}, devices: [${all.filter(({ group }) => group === i % groups).map(({ id }) => id)}]}`,
  )
  const input = inputOf(documents, `devices:\n${yaml.join('\n')}\ngroups:\n${members.join('\n')}\n`)
  const said = all.flatMap(({ id, group }, n) =>
    numbers(10).map((k): CheckFinding => {
      const i = (k - 1) * groups + group || profiles
      const message = `on ${n}, ${k}: ${'what happens on the device and why it does so, in plain words '.repeat(3)}`
      const ids = ['variable-unresolved', 'setting-ignored', 'names-sent', 'sid-missing'] as const
      const severity = (['error', 'warning', 'info', 'warning'] as const)[k % 4] as 'error'
      return {
        id: ids[k % 4] as 'names-sent',
        severity,
        profile: `Profile ${i}`,
        profileId: `p${i}`,
        device: id,
        message,
        action: 'do what there is to be done',
        source: 'variables.unresolved',
      }
    }),
  )
  return reportOf(input, said)
}
