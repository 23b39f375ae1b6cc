import { appliesTo, type PlatformName } from '@certfleet/platforms'
import t from 'tap'

const rows: readonly (readonly [factId: string, platform: PlatformName, osVersion: string, applies: boolean])[] = [
  ['android.applies', 'android', '3.2', false],
  ['android.applies', 'android', '4.0', true],
  ['android.applies', 'android', '14', true],
  ['ios.applies', 'ios', '5.1', false],
  ['ios.applies', 'ios', '6.0', true],
  ['ios.applies', 'ios', '17.4.1', true],
  ['macos.applies', 'macos', '10.8', false],
  ['macos.applies', 'macos', '10.8.5', false],
  ['macos.applies', 'macos', '10.9', true],
  ['macos.applies', 'macos', '10.10', true],
  ['macos.applies', 'macos', '11.1 (20C69)', true],
  ['windows.applies', 'windows', '8.0', false],
  ['windows.applies', 'windows', '8.1', true],
  ['windows.applies', 'windows', '10.0.19045.3324', true],
  ['windows-phone.applies', 'windows', 'Phone 8.0', false],
  ['windows-phone.applies', 'windows', 'Phone 8.1', true],
]

for (const [factId, platform, osVersion, applies] of rows) {
  t.test(`${factId}: ${platform} ${osVersion} ${applies ? 'takes' : 'does not take'} Trusted and SCEP profiles`, async (t) => {
    t.equal(appliesTo('trusted-root', platform, osVersion), applies)
    t.equal(appliesTo('scep', platform, osVersion), applies)
  })
}

for (const osVersion of ['', 'ten', '10.x', '10.', '-1', '1.2.3.4.5.6', '10\n', `1${'0'.repeat(40)}`, '17 (<script>)']) {
  t.test(`the OS version ${JSON.stringify(osVersion)} is refused`, async (t) => {
    t.throws(() => appliesTo('scep', 'ios', osVersion), { code: 'ERR_UNSUPPORTED', message: /expected dotted numbers/ })
  })
}

t.test('no other platform has a phone', async (t) => {
  t.throws(() => appliesTo('scep', 'android', 'Phone 8.1'), { code: 'ERR_UNSUPPORTED' })
})
