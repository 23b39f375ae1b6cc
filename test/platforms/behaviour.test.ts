import { behaviourOf, factOverrides, habitsOf, type PlatformName, parseOs, pendingScheduleOf } from '@certfleet/platforms'
import t from 'tap'

const ios = habitsOf('ios', '17.4', 'Corporate Wi-Fi')
const macos = habitsOf('macos', '14.4', 'Corporate Wi-Fi')
const android = habitsOf('android', '13', 'Corporate Wi-Fi')
const windows = habitsOf('windows', '10.0.19045', 'Corporate Wi-Fi')

const habits: readonly (readonly [factId: string, what: string, found: unknown, expected: unknown])[] = [
  ['ios.scep.order', 'iOS asks GetCACert first', ios.order, 'cert-first'],
  ['macos.scep.order', 'macOS asks GetCACert first', macos.order, 'cert-first'],
  ['android.scep.order', 'Android asks GetCACaps first', android.order, 'caps-first'],
  ['windows.scep.order', 'Windows asks GetCACaps first', windows.order, 'caps-first'],

  ['apple.scep.message', 'iOS sends the name of the profile', ios.message, 'Corporate Wi-Fi'],
  ['apple.scep.message', 'macOS sends the name of the profile', macos.message, 'Corporate Wi-Fi'],
  ['apple.scep.message', 'a name with replacement patterns stays itself', habitsOf('ios', '17', "$& $1 $'").message, "$& $1 $'"],
  ['android.scep.message', 'Android sends "ca"', android.message, 'ca'],
  ['windows.scep.message', 'Windows sends "default"', windows.message, 'default'],

  ['apple.scep.url-suffix', 'iOS keeps the URL', ios.urlSuffix, ''],
  ['apple.scep.url-suffix', 'macOS keeps the URL', macos.urlSuffix, ''],
  ['android.scep.url-suffix', 'Android keeps the URL', android.urlSuffix, ''],
  ['windows.scep.url-suffix', 'Windows appends to the URL', windows.urlSuffix, '/pkiclient.exe'],

  ['ios.scep.user-agent', 'iOS is profiled', ios.userAgent, 'profiled/1.0 CFNetwork'],
  ['macos.scep.user-agent', 'macOS is mdmclient', macos.userAgent, 'mdmclient CFNetwork'],
  ['android.scep.user-agent', 'Android names its version', android.userAgent, 'Dalvik/2.1.0 (Linux; U; Android 13)'],
  ['windows.scep.user-agent', 'Windows is the NDES client', windows.userAgent, 'Mozilla/4.0 (compatible; Win32; NDES client)'],

  ['apple.scep.signer', 'iOS signs under a random UUID', ios.signerSubject, 'random-uuid'],
  ['apple.scep.signer', 'macOS signs under a random UUID', macos.signerSubject, 'random-uuid'],
  ['android.scep.signer', "Android signs under the CSR's subject", android.signerSubject, 'csr-subject'],
  ['windows.scep.signer', "Windows signs under the CSR's subject", windows.signerSubject, 'csr-subject'],

  ['apple.scep.renewal', 'iOS renews by PKCSReq', ios.renewal, 'PKCSReq'],
  ['apple.scep.renewal', 'macOS renews by PKCSReq', macos.renewal, 'PKCSReq'],
  ['android.scep.renewal', 'Android renews by PKCSReq', android.renewal, 'PKCSReq'],
  ['windows.scep.renewal', 'Windows renews by PKCSReq', windows.renewal, 'PKCSReq'],

  ['apple.scep.urls', 'iOS knows one URL', ios.urls, 'first'],
  ['apple.scep.urls', 'macOS knows one URL', macos.urls, 'first'],
  ['android.scep.urls', 'Android shuffles the URLs', android.urls, 'shuffled'],
  ['windows.scep.urls', 'Windows takes the URLs as they come', windows.urls, 'in-order'],
]

for (const [factId, what, found, expected] of habits) {
  t.test(`${factId}: ${what}`, async (t) => t.equal(found, expected))
}

const seconds = 1000
const minutes = 60 * seconds

const schedules: readonly (readonly [factIds: readonly string[], platform: PlatformName, osVersion: string, expected: object])[] = [
  [
    ['apple.pending.polls', 'apple.pending.first-delay', 'apple.pending.delay'],
    'ios',
    '17.4',
    { polls: 3, firstDelayMs: 0, delayMs: 10 * seconds },
  ],
  [
    ['apple.pending.polls', 'apple.pending.first-delay', 'apple.pending.delay'],
    'macos',
    '14.4',
    { polls: 3, firstDelayMs: 0, delayMs: 10 * seconds },
  ],
  [['windows.pending.polls', 'windows.pending.delay'], 'windows', '10', { polls: 3, firstDelayMs: 5 * minutes, delayMs: 5 * minutes }],
  [
    ['windows.pending.polls', 'windows.pending.delay'],
    'windows',
    'Phone 8.1',
    { polls: 3, firstDelayMs: 5 * minutes, delayMs: 5 * minutes },
  ],
  [['android.pending.polls', 'android.pending.delay'], 'android', '13', { polls: 3, firstDelayMs: minutes, delayMs: minutes }],
]

for (const [factIds, platform, osVersion, expected] of schedules) {
  t.test(`${factIds.join(', ')}: when ${platform} ${osVersion} asks for a pending request`, async (t) => {
    t.same(behaviourOf(platform, osVersion).pendingSchedule, expected)
  })
}

const named: readonly (readonly [
  factIds: string,
  platform: PlatformName,
  retries: { count?: number; delayMs?: number },
  expected: readonly [polls: number, firstDelayMs: number, delayMs: number],
])[] = [
  ['windows.pending.most-polls', 'windows', { count: -1 }, [0, 5 * minutes, 5 * minutes]],
  ['windows.pending.most-polls', 'windows', { count: 0 }, [0, 5 * minutes, 5 * minutes]],
  ['windows.pending.most-polls', 'windows', { count: 1, delayMs: 2 * minutes }, [1, 2 * minutes, 2 * minutes]],
  ['windows.pending.most-polls', 'windows', { count: 30 }, [30, 5 * minutes, 5 * minutes]],
  ['windows.pending.most-polls', 'windows', { count: 31 }, [30, 5 * minutes, 5 * minutes]],
  ['windows.pending.most-polls', 'windows', { count: 99 }, [30, 5 * minutes, 5 * minutes]],
  ['windows.pending.least-delay', 'windows', { delayMs: 0 }, [3, minutes, minutes]],
  ['windows.pending.least-delay', 'windows', { delayMs: minutes }, [3, minutes, minutes]],
  ['apple.pending.polls, apple.pending.first-delay', 'ios', { count: 99, delayMs: 30 * seconds }, [99, 0, 30 * seconds]],
  ['apple.pending.polls, apple.pending.first-delay', 'macos', { count: 0 }, [0, 0, 10 * seconds]],
  ['android.pending.polls', 'android', { count: 5 }, [5, minutes, minutes]],
  ['android.pending.delay', 'android', { delayMs: 7 * minutes }, [3, 7 * minutes, 7 * minutes]],
]

for (const [factIds, platform, retries, [polls, firstDelayMs, delayMs]] of named) {
  t.test(`${factIds}: ${platform} told ${JSON.stringify(retries)}`, async (t) => {
    t.same(pendingScheduleOf(parseOs(platform, '10'), retries), { polls, firstDelayMs, delayMs })
  })
}

t.test('what a delivery does not say comes from the facts, overridden ones included', async (t) => {
  const os = parseOs('android', '13', factOverrides({ 'android.pending.polls': 7, 'android.pending.delay': 1000 }))
  t.same(pendingScheduleOf(os, { count: 2 }), { polls: 2, firstDelayMs: 1000, delayMs: 1000 })
  t.same(pendingScheduleOf(os), { polls: 7, firstDelayMs: 1000, delayMs: 1000 })
})

const defaults: readonly (readonly [platform: PlatformName, osVersion: string, keyBits: number | undefined])[] = [
  ['ios', '17.4', 1024],
  ['macos', '14.4', 1024],
  ['android', '13', undefined],
  ['windows', '10', undefined],
]

for (const [platform, osVersion, keyBits] of defaults) {
  t.test(`apple.key-size.default: ${platform} makes ${keyBits ?? 'no'} bits when none are asked for`, async (t) => {
    t.equal(behaviourOf(platform, osVersion).defaultKeyBits, keyBits)
  })
}
