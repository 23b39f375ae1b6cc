import fc from 'fast-check'
import t from 'tap'
import type { AssignedProfile, AssignmentTarget, Intent, Tenant } from '#emulator/tenant/index.ts'
import { profilesReaching, subscriberOf } from '#emulator/tenant/index.ts'
import { imported, type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { corpus } from './checked.ts'

const groupNames = ['a', 'b', 'c'] as const
const deviceIds = ['d1', 'd2'] as const

const target: fc.Arbitrary<AssignmentTarget> = fc.oneof(
  fc.record({ kind: fc.constantFrom('allDevices' as const, 'allUsers' as const) }),
  fc.record({
    kind: fc.constantFrom('group' as const, 'exclusionGroup' as const),
    group: fc.constantFrom(...groupNames, 'nobody knows it'),
  }),
)

const group = fc.record({
  users: fc.uniqueArray(fc.constantFrom('u1', 'u2')),
  devices: fc.uniqueArray(fc.constantFrom(...deviceIds)),
})

/** Profile by profile and target by target, as the matrix of assignments reads. */
function reachingOneByOne({ byPlatform, groupIds }: Intent, tenant: Tenant, deviceId: string): string[] {
  const { device, user } = subscriberOf(tenant, deviceId)
  return (byPlatform.get(device.platform) ?? []).flatMap(({ profile, targets }) => {
    const reached = new Set<string>()
    for (const one of targets) {
      const members = 'group' in one ? tenant.groups.get(groupIds.get(one.group) ?? '') : undefined
      const byDevice = one.kind === 'allDevices' || members?.devices.has(device.id)
      const byUser = user !== undefined && (one.kind === 'allUsers' || members?.users.has(user.id))
      if (one.kind === 'exclusionGroup' && (byDevice || byUser)) return []
      if (one.kind !== 'exclusionGroup' && byDevice) reached.add('device')
      if (one.kind !== 'exclusionGroup' && byUser) reached.add('user')
    }
    return reached.size === 0 ? [] : [`${profile.id} ${[...reached].sort()}`]
  })
}

t.test('whom an index of groups says a profile reaches, going through all targets says too', async (t) => {
  const { profiles } = imported(
    ...['p1', 'p2', 'p3', 'p4'].map((id) => trustedRoot({ id, displayName: id })),
    scep({ 'rootCertificate@odata.bind': 'p1' }),
  )
  const properties = {
    targets: fc.array(fc.array(target, { maxLength: 4 }), { minLength: 5, maxLength: 5 }),
    groups: fc.tuple(group, group, group),
  }
  const property = fc.property(fc.record(properties), ({ targets, groups }) => {
    const assigned = profiles.map((profile, i): AssignedProfile => ({ profile, targets: targets[i] ?? [] }))
    const intent: Intent = {
      byPlatform: new Map([['windows', assigned.filter((one) => one.targets.length > 0)]]),
      groupIds: new Map(groupNames.map((name) => [name, name])),
      multiFactor: new Set(),
    }
    const tenant: Tenant = {
      file: 'tenant.yaml',
      users: new Map(['u1', 'u2'].map((id) => [id, { id, upn: id, userName: id }])),
      devices: new Map([
        ['d1', { id: 'd1', platform: 'windows', osVersion: '11', user: 'u1' }],
        ['d2', { id: 'd2', platform: 'windows', osVersion: '11' }],
      ]),
      groups: new Map(
        groups.map(({ users, devices }, i) => {
          const id = groupNames[i] as string
          return [id, { id, name: id, users: new Set(users), devices: new Set(devices) }]
        }),
      ),
      assignments: [],
    }
    return deviceIds.every((id) => {
      const found = profilesReaching(intent, tenant, subscriberOf(tenant, id)).map(
        ({ profile, assignedTo }) => `${profile.id} ${assignedTo}`,
      )
      return found.join() === reachingOneByOne(intent, tenant, id).join()
    })
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 300 }))
})

const tenant = `
users: [{ id: alice, upn: alice@contoso.example }]
devices:
  - { id: laptop, platform: windows, osVersion: 10.0.26100, user: alice }
  - { id: old, platform: windows, osVersion: 8.1 }
  - { id: oldest, platform: windows, osVersion: "7" }
groups:
  - { id: staff, users: [alice] }
  - { id: nobody }
  - { id: everything, devices: [laptop, old, oldest] }
`

function to(...groups: readonly string[]): Json {
  return { assignments: groups.map((groupId) => ({ target: { '@odata.type': '#microsoft.graph.groupAssignmentTarget', groupId } })) }
}

const butNot = (groupId: string) => ({ target: { '@odata.type': '#microsoft.graph.exclusionGroupAssignmentTarget', groupId } })
const unassigned = { severity: 'warning', source: 'profile.link-delivers-nothing', message: /no device gets it/ }
const nobody = { severity: 'warning', source: 'profile.targets' }
const inapplicable = { severity: 'info', device: 'oldest', profile: 'Scep', source: 'windows.applies' }

corpus(t, [
  {
    name: 'a root that is only linked',
    documents: [trustedRoot(), scep(to('staff'))],
    tenant,
    id: 'profile-unassigned',
    finds: [{ ...unassigned, profile: 'Root' }],
  },
  {
    name: 'without a tenant what is assigned is known too',
    documents: [trustedRoot(to('staff')), scep()],
    id: 'profile-unassigned',
    finds: [{ ...unassigned, profile: 'Scep' }],
  },
  { name: 'an export that holds no assignments says nothing', documents: [trustedRoot(), scep()], id: 'profile-unassigned', finds: [] },
  {
    name: 'where the tenant assigns all, nothing is unassigned',
    documents: [trustedRoot(), scep(to('staff'))],
    tenant: `${tenant}assign: all`,
    id: 'profile-unassigned',
    finds: [],
  },
  {
    name: 'an empty group, and a group that is excluded',
    documents: [trustedRoot(to('nobody')), scep({ assignments: [...(to('staff').assignments as Json[]), butNot('everything')] })],
    tenant,
    id: 'nobody-reached',
    finds: [
      { ...nobody, profile: 'Root', message: /no Windows device gets it/ },
      { ...nobody, profile: 'Scep', message: /another group excludes it/ },
    ],
  },
  {
    name: 'a platform that the tenant has no device of',
    documents: [trustedRoot({ '@odata.type': '#microsoft.graph.macOSTrustedRootCertificate', ...to('staff') })],
    tenant,
    id: 'nobody-reached',
    finds: [{ ...nobody, message: /the tenant has no macOS device/ }],
  },
  { name: 'one device is enough', documents: [trustedRoot(to('staff'))], tenant, id: 'nobody-reached', finds: [] },
  {
    name: 'Windows before 8.1',
    documents: [scep(to('everything'))],
    tenant,
    id: 'not-applicable',
    finds: [{ ...inapplicable, message: /it is not for Windows 7/ }],
  },
  {
    name: 'a PFX on Windows before 10',
    documents: [pkcs(to('everything'))],
    tenant,
    id: 'not-applicable',
    finds: ['old', 'oldest'].map((device) => ({ ...inapplicable, device, profile: 'Pkcs', source: 'windows.pfx-applies' })),
  },
  {
    name: 'two URLs',
    documents: [scep({ scepServerUrls: ['https://a.example/scep', 'https://b.example/scep'] })],
    id: 'urls-several',
    finds: [{ severity: 'info', profile: 'Scep', source: 'windows.scep.urls', message: /one of its 2 SCEP URLs is picked at random/ }],
  },
  {
    name: 'one URL twice is one',
    documents: [scep({ scepServerUrls: ['https://a.example/scep', 'https://a.example/scep'] })],
    id: 'urls-several',
    finds: [],
  },
])
