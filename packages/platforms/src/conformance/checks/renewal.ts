import { AgentError } from '@certfleet/agent-core'
import { type Check, holdsTrue, same } from '../check.ts'
import type { CheckContext } from '../context.ts'
import type { ConformanceDevice } from '../device.ts'
import { dayMs, enrolled, type Given, installed, ordinaryPolicy, policyWith, refused, rootProfile, statusOf } from '../documents.ts'
import { pkiMessages } from '../wire.ts'

const usual = ['ios', 'macos', 'android', 'windows'] as const
const hundredDays: Given = { setup: { templateDays: 100 } }

/** A device with a certificate of a hundred days, and a way to go to a moment of its life. */
async function withHundredDays(context: CheckContext, given: Given = hundredDays) {
  const { device, leaf } = await enrolled(context, { ...given, ...hundredDays })
  const { clock, advance } = device.session
  return { device, leaf, atDay: async (day: number) => advance?.(leaf.notBefore + day * dayMs - clock.now()) }
}

async function serialAfterCheckIn(device: ConformanceDevice): Promise<string | undefined> {
  return statusOf(await device.checkIn()).serialNumber
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const threshold = (percent: number, allowed: boolean): Check => ({
  id: `renewal.threshold.${percent}`,
  on: usual,
  given: `a renewal threshold of ${percent} percent`,
  expect: allowed ? 'it is taken' : 'the profile fails: 1 to 99 can be asked for',
  source: 'SEED S24, A9; Graph renewalThresholdPercentage',
  facts: ['renewal.threshold-range'],
  async run(context) {
    const given = { scep: { renewalThresholdPercent: percent } }
    if (allowed) await enrolled(context, given)
    else await refused(context, 'ERR_PROFILE_INVALID', given)
  },
})

/** What becomes of a certificate that grows old. */
export const renewalChecks: readonly Check[] = [
  {
    id: 'renewal.threshold',
    on: usual,
    given: 'a certificate of 100 days and a threshold of 20 percent',
    expect: 'no renewal at 79.9 days; at 80 days, when the device checks in, a new certificate',
    source: 'SEED S24; M-SCEP Renewal threshold',
    facts: ['renewal.threshold', 'renewal-threshold.honoured'],
    needs: ['advance'],
    async run(context) {
      const { device, leaf, atDay } = await withHundredDays(context)
      await atDay(79.9)
      same(await serialAfterCheckIn(device), hex(leaf.serialNumber), 'serial number after 79.9 days')
      await atDay(80)
      holdsTrue((await serialAfterCheckIn(device)) !== hex(leaf.serialNumber), 'the certificate was not renewed after 80 days')
    },
  },
  ...[0, 100].map((percent) => threshold(percent, false)),
  ...[1, 99].map((percent) => threshold(percent, true)),
  {
    id: 'renewal.new-key',
    on: usual,
    given: 'a renewal',
    expect: 'a new key and a new serial number, asked for by PKCSReq, which the new key signs',
    source: 'M-SCEP Renewal threshold; A-SEC SecSCEP; J MessageType',
    facts: ['apple.scep.renewal', 'android.scep.renewal', 'windows.scep.renewal', 'renewal.new-key'],
    needs: ['advance'],
    async run(context) {
      const { device, leaf, atDay } = await withHundredDays(context)
      await atDay(81)
      await device.checkIn()
      const renewed = await installed(device)
      holdsTrue(hex(renewed.publicKey) !== hex(leaf.publicKey), 'the key is the same')
      holdsTrue(hex(renewed.serialNumber) !== hex(leaf.serialNumber), 'the serial number is the same')
      const messages = pkiMessages(device)
      same(
        messages.map(({ messageType }) => messageType),
        ['PKCSReq', 'PKCSReq'],
        'messages',
      )
      same(hex(messages[1]?.signer.publicKey ?? new Uint8Array()), hex(renewed.publicKey), 'the key that signs the renewal')
    },
  },
  {
    id: 'renewal.retried',
    on: usual,
    given: 'a server that is down when a certificate is due for renewal',
    expect: 'the old one stays, and the renewal is tried again until it succeeds',
    source: 'M-SCEP Renewal threshold',
    facts: ['renewal.threshold'],
    needs: ['advance'],
    async run(context) {
      let isDown = false
      const { device, leaf, atDay } = await withHundredDays(context, {
        async between(request, send) {
          if (isDown) throw new AgentError('ERR_NETWORK', 'the server is down')
          return send(request)
        },
      })
      isDown = true
      await atDay(81)
      same(await serialAfterCheckIn(device), hex(leaf.serialNumber), 'serial number while the server is down')
      isDown = false
      await atDay(82)
      holdsTrue((await serialAfterCheckIn(device)) !== hex(leaf.serialNumber), 'the renewal was not tried again')
    },
  },
  {
    id: 'renewal.begun-by-service',
    on: ['ios', 'macos'],
    given: 'a certificate on a device',
    expect: 'the device plans no renewal of its own: it comes with a check-in',
    source: 'M-SCEP Renewal threshold; FLEET #42757, #8477',
    facts: ['apple.renewal.begun-by'],
    async run(context) {
      const { device } = await enrolled(context)
      same(device.wakeAt(), undefined, 'the moment for which the device sets its timer')
    },
  },
  {
    id: 'renewal.begun-by-device',
    on: ['android', 'windows'],
    given: 'a certificate of 100 days and a threshold of 20 percent',
    expect: 'the device sets a timer for the 80th day',
    source: 'J MessageType; W-CE SignerCertificate, OldCertificate',
    facts: ['android.renewal.begun-by', 'windows.renewal.begun-by'],
    async run(context) {
      const { device, leaf } = await withHundredDays(context)
      same(device.wakeAt(), leaf.notBefore + 80 * dayMs, 'the moment for which the device sets its timer')
    },
  },
  {
    id: 'renewal.locked',
    on: ['ios', 'macos'],
    given: 'a device that is locked at every check-in of the renewal window',
    expect: 'no renewal while it is locked; one at the next check-in after it was unlocked',
    source: 'M-SCEP Renewal threshold',
    facts: ['apple.renewal.unlocked'],
    needs: ['advance'],
    async run(context) {
      const { device, leaf, atDay } = await withHundredDays(context)
      device.lock(true)
      await atDay(90)
      same(await serialAfterCheckIn(device), hex(leaf.serialNumber), 'serial number while locked')
      device.lock(false)
      holdsTrue((await serialAfterCheckIn(device)) !== hex(leaf.serialNumber), 'no renewal after it was unlocked')
    },
  },
  {
    id: 'renewal.missed',
    on: ['ios', 'macos'],
    given: 'a certificate that expired before it was renewed',
    expect: 'it stays, and nothing replaces it until the profile was taken away and assigned again',
    source: 'M-SCEP Renewal threshold',
    facts: ['apple.renewal.after-expiry'],
    needs: ['advance'],
    async run(context) {
      const { device, leaf, atDay } = await withHundredDays(context)
      await atDay(101)
      same(statusOf(await device.checkIn()).code, 'ERR_RENEWAL_MISSED', 'the profile fails with')
      same(await serialAfterCheckIn(device), hex(leaf.serialNumber), 'serial number after the end')
      await device.assign(policyWith({ revision: 2, trustedRoots: [rootProfile(device.session)] }))
      await device.checkIn()
      await device.assign({ ...ordinaryPolicy(device), revision: 3 })
      same(statusOf(await device.checkIn()).state, 'installed', 'the profile, assigned again')
    },
  },
  {
    id: 'renewal.after-expiry',
    on: ['android', 'windows'],
    given: 'a certificate that expired before it was renewed',
    expect: 'another is enrolled',
    source: 'M-SCEP Renewal threshold',
    facts: ['android.renewal.after-expiry', 'windows.renewal.after-expiry'],
    needs: ['advance'],
    async run(context) {
      const { device, leaf, atDay } = await withHundredDays(context)
      await atDay(101)
      holdsTrue((await serialAfterCheckIn(device)) !== hex(leaf.serialNumber), 'the expired certificate was not replaced')
    },
  },
  {
    id: 'renewal.installed-again',
    on: ['ios', 'macos'],
    given: 'the same profile, taken away and installed again',
    expect: 'a new enrolment: PKCSReq with a new key, never RenewalReq',
    source: 'FLEET #42757, #8477; A-SEC SecSCEP',
    async run(context) {
      const { device, leaf } = await enrolled(context)
      await device.assign(policyWith({ revision: 2, trustedRoots: [rootProfile(device.session)] }))
      await device.checkIn()
      await device.assign({ ...ordinaryPolicy(device), revision: 3 })
      await device.checkIn()
      holdsTrue(hex((await installed(device)).publicKey) !== hex(leaf.publicKey), 'the key is the same')
      same(
        pkiMessages(device).map(({ messageType }) => messageType),
        ['PKCSReq', 'PKCSReq'],
        'messages',
      )
    },
  },
  {
    id: 'renewal.edited',
    on: usual,
    given: 'a profile whose subject is changed',
    expect: 'a new certificate takes the place of the old one, which is revoked',
    source: 'CM-CP edits; M-RM SCEP certificates',
    facts: ['removal.scep-edited'],
    needs: ['revoked', 'reporter'],
    async run(context) {
      const { device, leaf } = await enrolled(context)
      await device.assign({ ...ordinaryPolicy(device, { scep: { subject: 'CN=device-1,O=Another' } }), revision: 2 })
      await device.checkIn()
      holdsTrue(hex((await installed(device)).serialNumber) !== hex(leaf.serialNumber), 'the certificate was not replaced')
      same(device.session.revoked?.(), [hex(leaf.serialNumber)], 'serial numbers that are revoked')
    },
  },
]
