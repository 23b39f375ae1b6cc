import t from 'tap'
import { bindTo, imported, type Json, scep, told, trustedRoot } from './graph.ts'

const iosScep = (members: Json = {}) => scep({ '@odata.type': '#microsoft.graph.iosScepCertificateProfile', ...members })
const iosRoot = trustedRoot({ '@odata.type': '#microsoft.graph.iosTrustedRootCertificate' })

function wifi(members: Json = {}): Json {
  return {
    '@odata.type': '#microsoft.graph.iosEnterpriseWiFiConfiguration',
    id: 'wifi-1',
    displayName: 'Office',
    ssid: 'office',
    ...members,
  }
}

const link = 'identityCertificateForClientAuthentication'

t.test('each notation names the certificate profile', async (t) => {
  const notations: [string, Json][] = [
    ['@odata.bind', { [`${link}@odata.bind`]: bindTo('scep-1') }],
    ['#CustomRef_', { [`#CustomRef_${link}`]: 'Scep|:|#microsoft.graph.iosScepCertificateProfile' }],
    ['an expanded object with its id', { [link]: { id: 'scep-1' } }],
    ['an expanded object with a name', { [link]: { displayName: 'Scep' } }],
    ['the shorter member', { 'identityCertificate@odata.bind': bindTo('scep-1') }],
    ['S/MIME', { 'smimeSigningCertificate@odata.bind': bindTo('scep-1') }],
    ['two members that name the same', { 'identityCertificate@odata.bind': bindTo('scep-1'), [link]: { id: 'scep-1' } }],
  ]
  for (const [name, members] of notations) {
    const { consumers, ...rest } = imported(wifi(members), iosScep(), iosRoot)
    t.match(consumers, [{ displayName: 'Office', platform: 'ios', file: '0.json', path: '', certificateProfileId: 'scep-1' }], name)
    t.same([consumers.length, told(rest)], [1, []], name)
  }
})

t.test('one entry a certificate profile', async (t) => {
  const members = { 'identityCertificate@odata.bind': bindTo('scep-1'), 'smimeSigningCertificate@odata.bind': bindTo('scep-2') }
  const mail = wifi({ '@odata.type': '#microsoft.graph.iosEasEmailProfileConfiguration', ...members })
  const { consumers } = imported(mail, iosScep(), iosScep({ id: 'scep-2', displayName: 'Second' }), iosRoot)
  t.same(
    consumers.map(({ certificateProfileId }) => certificateProfileId),
    ['scep-1', 'scep-2'],
  )
})

t.test('the same consumer in two files is one', async (t) => {
  const office = wifi({ [link]: { id: 'scep-1' } })
  t.equal(imported(office, office, iosScep(), iosRoot).consumers.length, 1)
  t.equal(imported(office, { ...office, id: 'wifi-2' }, iosScep(), iosRoot).consumers.length, 2)
})

t.test('what is no consumer by its type is one by what it links', async (t) => {
  const other = { '@odata.type': '#microsoft.graph.newKindOfConfiguration', displayName: 'New', [link]: { id: 'scep-1' } }
  const { consumers } = imported(other, iosScep(), iosRoot)
  t.match(consumers, [{ typeName: 'newKindOfConfiguration', certificateProfileId: 'scep-1' }])
  t.equal(consumers[0]?.platform, undefined)
})

t.test('what cannot be followed is told, and leaves a consumer without its profile', async (t) => {
  const twins = [iosRoot, iosScep(), iosScep({ id: 'scep-2' })]
  const named = { [`#CustomRef_${link}`]: 'Scep|:|x' }
  const rows: [string, Json[], string][] = [
    ['no link', [wifi()], 'info type-ignored 0.json'],
    ['a null link', [wifi({ [link]: null })], 'info type-ignored 0.json'],
    ['an unknown id', [wifi({ [`${link}@odata.bind`]: bindTo('gone') })], `warning link-unknown 0.json ${link}@odata.bind`],
    ['a name that two have', [wifi(named), ...twins], `warning link-ambiguous 0.json #CustomRef_${link}`],
    ['a name of another platform', [wifi(named), scep(), trustedRoot()], `warning link-unknown 0.json #CustomRef_${link}`],
    [
      'an id of another platform',
      [wifi({ [link]: { id: 'scep-1' } }), scep(), trustedRoot()],
      `warning link-other-platform 0.json ${link}`,
    ],
    ['a Trusted profile', [wifi({ [link]: { id: 'root-1' } })], `warning link-unknown 0.json ${link}`],
  ]
  for (const [name, documents, expected] of rows) {
    const result = imported(...documents, ...(documents.length === 1 ? [iosScep(), iosRoot] : []))
    t.equal(told(result)[0], expected, name)
    t.match(result.consumers, [{ certificateProfileId: undefined }], name)
  }
})

t.test('every type of the schema that can use a certificate is known', async (t) => {
  const types = [
    ...['androidDeviceOwnerEnterpriseWiFiConfiguration', 'androidDeviceOwnerVpnConfiguration', 'androidEasEmailProfileConfiguration'],
    ...['androidEnterpriseWiFiConfiguration', 'androidForWorkGmailEasConfiguration', 'androidForWorkEnterpriseWiFiConfiguration'],
    ...['androidForWorkVpnConfiguration', 'androidVpnConfiguration', 'androidWorkProfileNineWorkEasConfiguration'],
    ...[
      'androidWorkProfileEnterpriseWiFiConfiguration',
      'androidWorkProfileVpnConfiguration',
      'aospDeviceOwnerEnterpriseWiFiConfiguration',
    ],
    ...['iosDeviceFeaturesConfiguration', 'iosEasEmailProfileConfiguration', 'iosEnterpriseWiFiConfiguration', 'iosVpnConfiguration'],
    ...['iosWiredNetworkConfiguration', 'macOSDeviceFeaturesConfiguration', 'macOSEnterpriseWiFiConfiguration', 'macOSVpnConfiguration'],
    ...['macOSWiredNetworkConfiguration', 'windows10VpnConfiguration', 'windowsPhone81VpnConfiguration'],
    ...['windowsWifiEnterpriseEAPConfiguration', 'windowsWiredNetworkConfiguration', 'iosikEv2VpnConfiguration'],
  ]
  for (const type of types) {
    const result = imported({ '@odata.type': `#microsoft.graph.${type}`, displayName: 'x' })
    t.same(told(result), ['info type-ignored 0.json'], type)
    t.equal(result.consumers[0]?.typeName, type)
  }
})
