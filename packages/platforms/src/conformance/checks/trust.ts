import type { Principal } from '@certfleet/agent-core'
import { appliesTo } from '../../applicability.ts'
import { type Check, holdsTrue, same } from '../check.ts'
import { versionText } from '../device.ts'
import { assigned, enrolled, pfxProfile, policyWith, refused, rootProfile, scepProfile, statusOf } from '../documents.ts'
import { operations } from '../wire.ts'

const usual = ['ios', 'macos', 'android', 'windows'] as const
const both: readonly Principal[] = ['device', 'user']
const targets = { user: ['user'], device: ['device'], both } as const satisfies Record<string, readonly Principal[]>
type Target = keyof typeof targets

/** The matrix of SA-DEP: SCEP assigned to, Trusted assigned to. */
const cells: readonly (readonly [scep: Target, root: Target, installs: boolean])[] = [
  ['user', 'user', true],
  ['user', 'device', false],
  ['user', 'both', true],
  ['device', 'user', false],
  ['device', 'device', true],
  ['device', 'both', true],
  ['both', 'user', true],
  ['both', 'device', true],
  ['both', 'both', true],
]

function assignmentCheck([scep, root, installs]: (typeof cells)[number]): Check {
  return {
    id: `trust.assignment.scep-to-${scep}.root-to-${root}`,
    on: usual,
    given: `the SCEP profile is assigned to ${inWords(scep)}, the Trusted profile to ${inWords(root)}`,
    expect: installs ? 'root and certificate are installed' : 'the SCEP profile fails, without a key and without a call',
    source: 'SA-DEP assignment of Trusted and SCEP profiles',
    facts: ['trust.assignment'],
    async run(context) {
      const given = { scep: { assignedTo: [...targets[scep]] }, root: { assignedTo: [...targets[root]] } }
      if (installs) {
        await enrolled(context, given)
        return
      }
      const device = await refused(context, 'ERR_ROOT_NOT_DEPLOYED', given)
      same(operations(device), [], 'calls')
      same(await device.keys[0]?.list(), [], 'keys')
    },
  }
}

const inWords = (target: Target): string => (target === 'both' ? 'user and device' : `the ${target}`)

/** What a Trusted profile is to a SCEP profile, and which profiles a system takes at all. */
export const trustChecks: readonly Check[] = [
  {
    id: 'trust.root-not-assigned',
    on: usual,
    given: 'a SCEP profile whose Trusted profile is not assigned',
    expect: 'the profile has failed rather than pending; no key is made and nobody is called',
    source: 'SEED S10, S11; CM-CP root not deployed',
    facts: ['trust.both-deployed', 'profile.link-delivers-nothing'],
    async run(context) {
      const device = await context.device()
      await device.assign(policyWith({ scepProfiles: [scepProfile(device.session)] }))
      const { state, code } = statusOf(await device.checkIn())
      same([state, code], ['requestCreationFailed', 'ERR_ROOT_NOT_DEPLOYED'], 'the profile')
      same(await device.keys[0]?.list(), [], 'keys')
      same(operations(device), [], 'calls')
    },
  },
  ...cells.map(assignmentCheck),
  {
    id: 'trust.other-platform.not-applicable',
    on: usual,
    given: 'a Trusted and a SCEP profile for another platform, assigned to everybody',
    expect: 'the device is given neither, and nothing has failed',
    source: 'SEED S12',
    facts: ['applies.own-platform'],
    needs: ['author'],
    async run(context) {
      const { session } = await context.device()
      const other = context.os.platform === 'windows' ? 'ios' : 'windows'
      const { policy } = (await session.author?.({ rootFor: other, scepFor: other })) ?? { policy: policyWith({}) }
      same([policy.trustedRoots.length, policy.scepProfiles.length, policy.failedProfiles.length], [0, 0, 0], 'profiles of the device')
      const own = await session.author?.({ rootFor: context.os.platform, scepFor: context.os.platform })
      same([own?.policy.trustedRoots.length, own?.policy.scepProfiles.length], [1, 1], 'profiles of its own platform')
    },
  },
  {
    id: 'trust.other-platform.rejected',
    on: usual,
    given: 'a SCEP profile that refers to the Trusted profile of another platform',
    expect: 'it is rejected when it is read, and fails on the device',
    source: 'SEED S7',
    facts: ['trust.own-platform'],
    needs: ['author'],
    async run(context) {
      const { session, ...device } = await context.device()
      const other = context.os.platform === 'windows' ? 'ios' : 'windows'
      const authored = await session.author?.({ rootFor: other, scepFor: context.os.platform })
      holdsTrue(authored !== undefined, 'the target writes no profiles')
      same(authored.rejected, ['link-other-platform'], 'what is rejected')
      await device.assign(authored.policy)
      same(statusOf(await device.checkIn()).code, 'ERR_PROFILE_INVALID', 'the profile fails with')
    },
  },
  {
    id: 'trust.variable-unresolved',
    on: usual,
    given: 'a subject with {{IMEI}}, on a device without an IMEI',
    expect: 'the profile fails; the variable does not become an empty text',
    source: 'M-SCEP subject variables',
    facts: ['variables.unresolved'],
    needs: ['author'],
    async run(context) {
      const { session, ...device } = await context.device()
      const { platform } = context.os
      const authored = await session.author?.({ rootFor: platform, scepFor: platform, subject: 'CN={{IMEI}}' })
      holdsTrue(authored !== undefined, 'the target writes no profiles')
      await device.assign(authored.policy)
      same(statusOf(await device.checkIn()).code, 'ERR_VARIABLE_UNRESOLVED', 'the profile fails with')
    },
  },
  {
    id: 'trust.variables',
    on: usual,
    given: 'a subject with {{DeviceId}}',
    expect: 'what reaches the device has its own id in place of the variable',
    source: 'M-SCEP subject variables',
    facts: ['variables.device'],
    needs: ['author'],
    async run(context) {
      const { session } = await context.device()
      const { platform } = context.os
      const authored = await session.author?.({ rootFor: platform, scepFor: platform, subject: 'CN=pc,OU={{DeviceId}}' })
      same(
        authored?.policy.scepProfiles.map((profile) => profile.subject),
        ['CN=pc,OU=device-1'],
        'subjects',
      )
    },
  },
  {
    id: 'trust.certificate-deleted-by-user',
    on: usual,
    given: 'a user deletes a certificate whose profile is still assigned',
    expect: 'the next check-in gets another',
    source: 'M-RM manually deleted certificates',
    facts: ['removal.by-user'],
    async run(context) {
      const { device, leaf } = await enrolled(context)
      await device.identities.remove('device/wifi')
      const { serialNumber } = statusOf(await device.checkIn())
      holdsTrue(serialNumber !== undefined, 'no other certificate was installed')
      holdsTrue(serialNumber !== Buffer.from(leaf.serialNumber).toString('hex'), 'the same certificate was installed again')
    },
  },
  {
    id: 'trust.several-roots',
    on: usual,
    given: 'two Trusted profiles, of the CA and of somebody else',
    expect: 'both certificates are installed',
    source: 'SEED S22',
    facts: ['trust.several-roots'],
    async run(context) {
      const device = await assigned(context)
      const other = await context.device({ setup: { otherAuthority: true } })
      const { root } = other.session
      const trusted = [device.session.root, root].map((der, i) => rootNumber(i, der))
      await device.assign(policyWith({ trustedRoots: trusted }))
      await device.checkIn()
      same((await device.stores.list()).length, 2, 'roots on the device')
    },
  },
  applicabilityCheck('trusted-root', ['ios.applies', 'macos.applies', 'android.applies', 'windows.applies', 'windows-phone.applies']),
  applicabilityCheck('scep', ['ios.applies', 'macos.applies', 'android.applies', 'windows.applies', 'windows-phone.applies']),
  {
    id: 'trust.applies.pfx',
    on: ['ios', 'macos', 'android', 'windows'],
    given: 'a PFX profile',
    expect: 'it applies: Android from 4.0, Windows from 10, and Apple systems, to which today a PKCS profile can be assigned',
    source: 'SEED S4; M-PKCS profile',
    facts: ['android.pfx-applies', 'windows.pfx-applies', 'apple.pfx-applies'],
    async run({ os }) {
      same(appliesTo('pfx', os.platform, versionText(os), os.overrides), true, 'a PFX profile applies')
    },
  },
  {
    id: 'trust.applies.no-pfx',
    on: ['windows-8.1', 'windows-phone-8.1'],
    given: 'a PFX profile below Windows 10',
    expect: 'it is not applicable',
    source: 'SEED S4',
    async run(context) {
      const device = await context.device()
      await device.assign(policyWith({ trustedRoots: [rootProfile(device.session)], pfxProfiles: [pfxProfile()] }))
      const { notApplicable = [], profiles } = await device.checkIn()
      const told = notApplicable.map(({ id, factId }) => [id, factId])
      same([told, profiles.length], [[['mail', 'windows.pfx-applies']], 0], 'what is not applicable, and what has a state')
    },
  },
]

function rootNumber(i: number, der: Uint8Array) {
  return {
    id: `root-${i}`,
    displayName: `Root ${i}`,
    certificate: Buffer.from(der).toString('base64'),
    destinationStore: 'computer-root' as const,
    assignedTo: both.slice(),
  }
}

/** The last version before the first that a profile type applies to. */
const tooOld = { ios: '5.9', macos: '10.8', android: '3.2', windows: '8.0' } as const

function applicabilityCheck(type: 'trusted-root' | 'scep', facts: readonly string[]): Check {
  return {
    id: `trust.applies.${type}`,
    on: [...usual, 'windows-8.1', 'windows-phone-8.1'],
    given: `a ${type === 'scep' ? 'SCEP' : 'Trusted'} profile, on this version and on one older than any that is named`,
    expect: 'it applies to this version, and is not applicable to the older one',
    source: 'SEED S2, S3',
    facts,
    async run({ os }) {
      same(appliesTo(type, os.platform, versionText(os), os.overrides), true, `${type} applies to ${os.version}`)
      const older = tooOld[os.platform]
      const named = os.system === 'windows-phone' ? `Phone ${older}` : older
      same(appliesTo(type, os.platform, named, os.overrides), false, `${type} applies to ${older}`)
    },
  }
}
