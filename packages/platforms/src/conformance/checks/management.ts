import type { UserAnswer, UserStep } from '../../consent.ts'
import { type Check, holdsTrue, same } from '../check.ts'
import type { CheckContext } from '../context.ts'
import type { ConformanceDevice } from '../device.ts'
import { assigned, statusOf } from '../documents.ts'
import { operations } from '../wire.ts'

type Answers = Partial<Record<UserStep['kind'], UserAnswer>>

/** A device whose user answers so, everything else with yes; `asked` fills with what the user was asked. */
async function withUser(context: CheckContext, answers: Answers): Promise<{ device: ConformanceDevice; asked: UserStep['kind'][] }> {
  const asked: UserStep['kind'][] = []
  const device = await assigned(context, {
    async userConsent({ kind }) {
      asked.push(kind)
      return answers[kind] ?? 'granted'
    },
  })
  return { device, asked }
}

/** The profile waits for its user: nothing was sent, no key was made, and nobody is to be tried again before the user acts. */
async function waits(device: ConformanceDevice): Promise<void> {
  same(statusOf(await device.checkIn()).code, 'ERR_USER_ACTION_REQUIRED', 'the profile waits with')
  same(operations(device), [], 'calls')
  same(await device.keys[0]?.list(), [], 'keys')
  same((await device.stores.list()).length, 0, 'roots on the device')
  same(device.wakeAt(), undefined, 'the moment for which the device sets its timer')
}

const rootOf = (kind: 'install-root' | 'install-root-by-hand', row: Pick<Check, 'id' | 'on' | 'expect' | 'source' | 'facts'>): Check => ({
  ...row,
  given: 'a device administrator, and a user who does nothing at first',
  async run(context) {
    const answers: Answers = { [kind]: 'waiting' }
    const { device, asked } = await withUser(context, answers)
    await waits(device)
    same(asked, [kind], 'what the user has to do')
    answers[kind] = 'granted'
    same(statusOf(await device.checkIn()).state, 'installed', 'the profile, once the user has done it')
  },
})

const trust = (id: string, on: Check['on'], isAtOnce: boolean, facts: readonly string[]): Check => ({
  id,
  on,
  given: `a root that ${isAtOnce ? 'management, or before iOS 10.3 anybody, installs' : 'came in a profile that was installed by hand'}`,
  expect: isAtOnce
    ? 'TLS trusts it at once'
    : 'it is installed, and TLS trusts nothing by it until the user says so; SCEP does not wait for that',
  source: 'HT204477 manually installed profiles',
  facts,
  async run(context) {
    const answers: Answers = { 'trust-root': 'waiting' }
    const { device } = await withUser(context, answers)
    const { roots, profiles } = await device.checkIn()
    same([roots[0]?.installed, roots[0]?.awaitsTrust === true], [true, !isAtOnce], 'the root is installed, and waits to be trusted')
    same(profiles[0]?.state, 'installed', 'the SCEP profile')
    answers['trust-root'] = 'granted'
    same((await device.checkIn()).roots[0]?.awaitsTrust, undefined, 'the root waits to be trusted, after the user')
  },
})

/** What is left to the user of a device, by how the device is managed. */
export const managementChecks: readonly Check[] = [
  {
    id: 'management.silent',
    on: ['android', 'android-11', 'android-enterprise', 'android-owner', 'android-aosp'],
    given: 'Samsung Knox, a work profile, a fully managed device or AOSP, and a user who refuses everything',
    expect: 'root and certificate are installed, and nobody is asked',
    source: 'ID-DEL Samsung Knox, Android Enterprise; M-TR Android 11',
    facts: [
      'android.root.knox-silent',
      'android.identity.knox-silent',
      'android.root.silent',
      'android.identity.silent',
      'android.root.aosp-silent',
      'android.identity.aosp-silent',
    ],
    async run(context) {
      const { device, asked } = await withUser(context, {
        'install-root': 'refused',
        'install-identity': 'refused',
        'access-key': 'refused',
      })
      same(statusOf(await device.checkIn()).state, 'installed', 'the profile')
      same(asked, [], 'what the user is asked')
    },
  },
  rootOf('install-root', {
    id: 'management.root.prompt',
    on: ['android-10-administrator'],
    expect: 'the user is asked for the root, and SCEP waits for it: no key is made and nobody is called',
    source: 'ID-DEL Android device administrator',
    facts: ['android.root.prompt'],
  }),
  rootOf('install-root-by-hand', {
    id: 'management.root.by-hand',
    on: ['android-administrator'],
    expect: 'no policy installs the root: SCEP waits until the user has done it by hand; no key is made and nobody is called',
    source: 'M-TR Android 11',
    facts: ['android.root.by-hand'],
  }),
  {
    id: 'management.certificate.prompt',
    on: ['android-administrator', 'android-10-administrator'],
    given: 'a device administrator, and a user who lets the certificate be installed, and its key be used only later',
    expect: 'the user is asked for both; what was issued is kept meanwhile, and not asked for again',
    source: 'ID-DEL Android device administrator; M-TR Android 11',
    facts: ['android.identity.prompt', 'android.status.user-needed'],
    needs: ['issued'],
    async run(context) {
      const answers: Answers = { 'access-key': 'waiting' }
      const { device, asked } = await withUser(context, answers)
      const { code, os } = statusOf(await device.checkIn())
      same([code, os], ['ERR_USER_ACTION_REQUIRED', { state: 'CERT_INSTALL_REQUESTED' }], 'the profile, and what the device shows of it')
      same(asked.slice(1), ['install-identity', 'access-key'], 'what the user is asked after the root')
      answers['access-key'] = 'granted'
      same(statusOf(await device.checkIn()).state, 'installed', 'the profile, once the user has let the key be used')
      same(device.session.issued?.().length, 1, 'certificates issued')
    },
  },
  trust('management.trust.at-once', ['ios', 'ios-10-unmanaged'], true, ['ios.trust.managed', 'ios.trust.manual-before']),
  trust('management.trust.by-user', ['ios-unmanaged'], false, ['ios.trust.manual']),
  {
    id: 'management.full-disk-encryption',
    on: ['android'],
    given: 'storage that is encrypted as a whole, and no PIN yet',
    expect: 'SCEP does not begin: no key is made and nobody is called; with a PIN it goes on',
    source: 'M-CFG Android PIN',
    facts: ['android.storage.full-disk-pin'],
    needs: ['advance'],
    async run(context) {
      let hasPin = false
      const device = await assigned(context, { fullDiskEncryption: { hasPin: async () => hasPin } })
      const { code, message = '' } = statusOf(await device.checkIn())
      same([code, operations(device)], ['ERR_USER_ACTION_REQUIRED', []], 'failure and calls')
      holdsTrue(message.includes('PIN'), `the PIN is not told: ${message}`)
      hasPin = true
      await device.session.advance?.(24 * 3_600_000)
      same(statusOf(await device.checkIn()).state, 'installed', 'the profile, once there is a PIN')
    },
  },
]
