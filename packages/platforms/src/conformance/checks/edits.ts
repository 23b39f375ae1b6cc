import { type Check, holdsTrue, same } from '../check.ts'
import {
  enrolled,
  type Given,
  ordinaryPolicy,
  policyWith,
  rootProfile,
  type ScepProfileDocument,
  scepProfile,
  statusOf,
} from '../documents.ts'

const usual = ['ios', 'macos', 'android', 'windows'] as const

const edit = (setting: string, change: Partial<ScepProfileDocument>, { on = usual, facts = [] }: Partial<Check> = {}): Check => ({
  id: `edits.${setting}`,
  on,
  given: `a profile whose ${setting.replaceAll('-', ' ')} is changed`,
  expect: 'a new certificate for a new key takes the place of the old one',
  source: 'CM-CP edits',
  facts: ['profile.edits', ...facts],
  async run(context) {
    const { device } = await enrolled(context, { keyStorage: ['software', 'tpm'] })
    const before = await device.identities.list()
    await device.assign({ ...ordinaryPolicy(device, { scep: change }), revision: 2 })
    same(statusOf(await device.checkIn()).state, 'installed', 'the profile')
    const after = await device.identities.list()
    same(after.length, 1, 'identities on the device')
    holdsTrue(after[0]?.keyLabel !== before[0]?.keyLabel, 'the certificate was not replaced')
  },
})

const harmless = (setting: string, change: NonNullable<Given['scep']>): Check => ({
  id: `edits.${setting}.nothing`,
  on: usual,
  given: `a profile whose ${setting.replaceAll('-', ' ')} is changed`,
  expect: 'nothing: the certificate is as good as before',
  source: 'CM-CP edits, which does not name it',
  facts: ['profile.edits'],
  async run(context) {
    const { device } = await enrolled(context)
    const calls = device.exchanges.length
    await device.assign({ ...ordinaryPolicy(device, { scep: change }), revision: 2 })
    same(statusOf(await device.checkIn()).state, 'installed', 'the profile')
    same(device.exchanges.length, calls, 'calls')
  },
})

/** Which edits of a profile make the device ask for another certificate. */
export const editChecks: readonly Check[] = [
  edit('key-storage', { keyStorage: 'useTpmKspOtherwiseFail' }, { on: ['windows'] }),
  edit('key-size', { keyBits: 1024 }),
  edit('subject', { subject: 'CN=device-1,O=Another' }),
  edit('alternative-names', { subjectAltNames: [{ type: 'dns', value: 'device-1.contoso.example' }] }),
  edit('key-usage', { keyUsages: ['digitalSignature'] }),
  edit(
    'extended-key-usage',
    { extendedKeyUsages: ['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.6'] },
    { facts: ['extended-key-usage.apple-ignored'] },
  ),
  edit('validity', { validity: { value: 31, scale: 'days' } }),
  harmless('name', { displayName: 'Corporate Wi-Fi, renamed' }),
  harmless('threshold', { renewalThresholdPercent: 30 }),
  harmless('urls', ({ scepUrl }) => ({ scepUrls: [scepUrl, 'https://other.invalid/scep'] })),
  {
    id: 'edits.root',
    on: usual,
    given: "a profile that comes to lead to another CA's root, whose server does not answer yet",
    expect: 'the new root is installed beside the old one, which stays as long as the old certificate does',
    source: 'CM-CP edits',
    facts: ['removal.root-edited'],
    async run(context) {
      const { device } = await enrolled(context)
      const other = await context.device({ setup: { otherAuthority: true } })
      const root = rootProfile(other.session)
      const scep = scepProfile(device.session, { scepUrls: ['https://nobody.invalid/scep'] })
      await device.assign(policyWith({ revision: 2, trustedRoots: [root], scepProfiles: [scep] }))
      await device.checkIn()
      same([(await device.stores.list()).length, (await device.identities.list()).length], [2, 1], 'roots and identities')
    },
  },
]
