import { parsePolicy } from '@certfleet/agent-core'
import { importGraph, parseTenant } from '@certfleet/emulator/tenant'
import t from 'tap'
import { maxCounts } from '#emulator/lab/admin/changes.ts'
import { type Admin, allDevices, configurations, example, type Json, notGroup, reference, startAdmin, toGroup } from './admin-world.ts'
import { post, register } from './surroundings.ts'

const ada = { id: 'ada', displayName: 'Ada', userPrincipalName: 'ada@contoso.example', mail: 'ada.l@contoso.example' }
const root = example('windows-root')
const wifi = { ...example('windows-wifi-user'), customSubjectAlternativeNames: [] }

t.test('users', async (t) => {
  const { ask, send, refused, store, policies } = await startAdmin()
  const created = await ask('POST', 'users', {
    ...ada,
    accountEnabled: true,
    passwordProfile: { password: 'secret-canary' },
    onPremisesSecurityIdentifier: 'S-1-5-21-1-2-3-4',
  })
  t.match(created, { ...ada, mailNickname: 'ada', onPremisesSecurityIdentifier: 'S-1-5-21-1-2-3-4' })
  t.notMatch(JSON.stringify([...store.list('adminUsers')]), 'secret-canary', 'no password is kept')
  t.match(policies.view().users.get('ada'), { upn: ada.userPrincipalName, email: ada.mail, userName: 'ada', sid: 'S-1-5-21-1-2-3-4' })
  t.equal((await ask('GET', 'users/ADA@contoso.example')).id, 'ada', 'by the name too')
  t.equal(
    (await send('PATCH', 'users/ada', { mail: null, department: 'Analysis', userPrincipalName: 'ada.k@contoso.example' })).status,
    204,
  )
  t.match(await ask('GET', 'users/ada'), { mail: null, department: 'Analysis', userPrincipalName: 'ada.k@contoso.example' })
  t.match(
    await ask('POST', 'users', { displayName: 'Other', userPrincipalName: ada.userPrincipalName }),
    { id: /^[0-9a-f-]{36}$/ },
    'the old name is free',
  )
  const before = [...store.list('adminUsers')]
  const rows: [name: string, body: unknown, expected: string][] = [
    ['the id is taken', { ...ada, userPrincipalName: 'new@contoso.example' }, '409 Conflict: a user has the id "ada"'],
    ['the name is taken', { displayName: 'X', userPrincipalName: 'ADA.K@contoso.example' }, '409 Conflict: a user has the name'],
    ['no name', { displayName: 'X' }, '400 BadRequest: userPrincipalName: expected name@domain'],
    ['no domain', { displayName: 'X', userPrincipalName: 'x' }, '400 BadRequest: userPrincipalName: expected name@domain'],
    ['no display name', { userPrincipalName: 'x@y' }, '400 BadRequest: displayName: expected a name of 1 to 256 characters'],
    ['a member that nobody reads', { ...ada, age: 36 }, '400 BadRequest: age: no such member is read here'],
    ['a control character', { displayName: 'a\nb', userPrincipalName: 'x@y' }, '400 BadRequest: displayName: expected a name'],
    ['257 characters', { displayName: 'a'.repeat(257), userPrincipalName: 'x@y' }, '400 BadRequest: displayName: expected a name'],
    [
      'a sid that is none',
      { ...ada, onPremisesSecurityIdentifier: 'S-2' },
      '400 BadRequest: onPremisesSecurityIdentifier: expected a security identifier',
    ],
  ]
  for (const [name, body, expected] of rows) t.match(await refused('POST', 'users', body), expected, name)
  t.match(await refused('PATCH', 'users/ada', { userPrincipalName: ada.userPrincipalName }), '409 Conflict', 'a rename onto another')
  t.match(await refused('PATCH', 'users/ada', { id: 'b' }), '400 BadRequest: id')
  t.strictSame([...store.list('adminUsers')], before)
  t.equal((await send('DELETE', 'users/ada')).status, 204)
  t.match(await refused('GET', 'users/ada'), '404 ResourceNotFound: no user has the id "ada"')
  t.match(await ask('POST', 'users', ada).catch(String), /409/, 'its first name went to another')
  t.match(await ask('POST', 'users', { ...ada, userPrincipalName: 'ada.k@contoso.example' }), { id: 'ada' })
})

t.test('no more of a kind than there may be', async (t) => {
  const { store, refused, ask } = await startAdmin()
  const { groups } = maxCounts
  await store.transaction((tx) => tx.put('adminChanges', 'admin', { version: 1, profiles: 0, users: 0, groups: groups - 1 }))
  await ask('POST', 'groups', { id: 'last', displayName: 'Last' })
  t.match(await refused('POST', 'groups', { displayName: 'One more' }), `403 QuotaExceeded: expected at most ${groups} groups`)
  await ask('DELETE', 'groups/last')
  t.match(await ask('POST', 'groups', { displayName: 'One more' }), { displayName: 'One more' })
})

t.test('groups and who is in them', async (t) => {
  const admin = await startAdmin()
  const { ask, send, refused, lab, store } = admin
  await register(lab, 'laptop 1')
  await ask('POST', 'users', ada)
  t.match(
    await ask('POST', 'groups', {
      id: 'mixed',
      displayName: 'Mixed',
      mailEnabled: false,
      mailNickname: 'm',
      securityEnabled: true,
      'members@odata.bind': ['https://x/v1.0/directoryObjects/ada'],
    }),
    { id: 'mixed', displayName: 'Mixed', securityEnabled: true },
  )
  t.equal((await send('POST', 'groups/mixed/members/$ref', reference('devices/laptop%201'))).status, 204)
  t.match((await ask('GET', 'groups/mixed/members')).value, [
    { '@odata.type': '#microsoft.graph.user', id: 'ada', userPrincipalName: ada.userPrincipalName },
    { '@odata.type': '#microsoft.graph.device', id: 'laptop 1' },
  ])
  const before = store.get('adminGroups', 'mixed')
  const rows: [name: string, method: 'POST' | 'PATCH' | 'DELETE', path: string, body: unknown, expected: string][] = [
    [
      'nobody',
      'POST',
      'groups/mixed/members/$ref',
      reference('users/nobody'),
      '400 BadRequest: @odata.id: expected the URL of one user or device that is known',
    ],
    [
      'a device as user',
      'POST',
      'groups/mixed/members/$ref',
      reference('users/laptop%201'),
      '400 BadRequest: @odata.id: expected the URL of one user or device',
    ],
    [
      'a user as device',
      'POST',
      'groups/mixed/members/$ref',
      reference('devices/ada'),
      '400 BadRequest: @odata.id: expected the URL of one user or device',
    ],
    ['no URL', 'POST', 'groups/mixed/members/$ref', {}, '400 BadRequest: @odata.id: expected the URL of a user or device'],
    [
      'who is in it',
      'POST',
      'groups/mixed/members/$ref',
      reference("users('ada')"),
      '400 BadRequest: @odata.id: expected somebody who is not in the group',
    ],
    ['who is not in it', 'DELETE', 'groups/mixed/members/bob/$ref', undefined, '404 ResourceNotFound: no member has the id "bob"'],
    ['an unknown group', 'POST', 'groups/none/members/$ref', reference('users/ada'), '404 ResourceNotFound: no group'],
    [
      'one of two unknown',
      'PATCH',
      'groups/mixed',
      { 'members@odata.bind': ['users/ada', 'users/bob'] },
      '400 BadRequest: members@odata.bind[1]: expected',
    ],
    [
      '21 at once',
      'PATCH',
      'groups/mixed',
      { 'members@odata.bind': Array(21).fill('users/ada') },
      '400 BadRequest: members@odata.bind: expected at most 20',
    ],
    ['a mail group', 'POST', 'groups', { displayName: 'M', mailEnabled: true }, '400 BadRequest: mailEnabled: expected false'],
    ['a group by rule', 'POST', 'groups', { displayName: 'M', groupTypes: ['DynamicMembership'] }, '400 BadRequest: groupTypes'],
    ['an id that is taken', 'POST', 'groups', { id: 'mixed', displayName: 'M' }, '409 Conflict: a group has the id "mixed"'],
  ]
  for (const [name, method, path, body, expected] of rows) t.match(await refused(method, path, body), expected, name)
  t.strictSame(store.get('adminGroups', 'mixed'), before)
  t.equal((await send('PATCH', 'groups/mixed', { displayName: 'Renamed', description: 'both' })).status, 204)
  t.match(await ask('GET', 'groups/mixed'), { displayName: 'Renamed', description: 'both' })
  t.equal((await send('DELETE', 'users/ada')).status, 204)
  await ask('POST', 'users', ada)
  t.equal((await ask('GET', 'groups/mixed/members')).value.length, 1, 'who comes back under the same id is not in it')
  t.equal((await send('DELETE', 'groups/mixed/members/laptop%201/$ref')).status, 204)
  t.same((await ask('GET', 'groups/mixed/members')).value, [])
  t.equal((await send('DELETE', 'groups/mixed')).status, 204)
  t.match(await refused('GET', 'groups/mixed/members'), '404')
})

/** Names of the profiles that a device gets. */
async function delivered({ lab }: Admin, credential: string): Promise<string[]> {
  const response = await lab.handle({ method: 'GET', url: '/device/policy', headers: { authorization: `Bearer ${credential}` } })
  const { trustedRoots, scepProfiles, failedProfiles } = parsePolicy(response.body)
  return [...trustedRoots, ...scepProfiles, ...failedProfiles].map(({ displayName }) => displayName)
}

const report = (profiles: unknown[] = []) => ({ revision: 1, at: 1, platform: 'windows', results: [], roots: [], profiles, keyStorage: [] })

async function rollout(targets: readonly Json[], options = {}) {
  const admin = await startAdmin(options)
  const credential = await register(admin.lab, 'laptop')
  await admin.ask('POST', 'users', ada)
  await admin.ask('POST', 'deviceManagement/managedDevices/laptop/users/$ref', reference('users/ada'))
  await admin.ask('POST', 'groups', { id: 'people', displayName: 'People', 'members@odata.bind': ['users/ada'] })
  await admin.ask('POST', 'groups', { id: 'machines', displayName: 'Machines', 'members@odata.bind': ['devices/laptop'] })
  await admin.ask('POST', configurations, { ...root, assignments: targets })
  const checkIn = async () => {
    const got = await delivered(admin, credential)
    await post(admin.lab, '/device/report', report(), credential)
    return got
  }
  return { ...admin, credential, checkIn }
}

t.test('profile.device-group-waits: a user group reaches a device at once, a device group once it is registered', async (t) => {
  const rows: [name: string, targets: Json[], first: boolean, second: boolean, options?: object][] = [
    ['its user’s group', [toGroup('people')], true, true],
    ['its own group', [toGroup('machines')], false, true],
    ['its own group, where S14 is off', [toGroup('machines')], true, true, { deviceGroups: 'at-once' }],
    ['both', [toGroup('people'), toGroup('machines')], true, true],
    ['all devices', [allDevices], true, true],
    ['its user’s group, without its own', [toGroup('people'), notGroup('machines')], false, false],
    ['its own group, without its user’s', [toGroup('machines'), notGroup('people')], false, false],
    ['taken away', [{ ...toGroup('people'), intent: 'remove' }], false, false],
    ['nobody', [], false, false],
  ]
  for (const [name, targets, first, second, options] of rows) {
    const { checkIn, clock } = await rollout(targets, options)
    const expected = (isThere: boolean) => (isThere ? [root.displayName] : [])
    t.strictSame(await checkIn(), expected(first), `${name}: first`)
    await clock.advance(1)
    t.strictSame(await checkIn(), expected(second), `${name}: second`)
  }
})

t.test('registering again starts the registration anew', async (t) => {
  const { lab, ask, clock, checkIn } = await rollout([toGroup('machines')])
  const state = async () => (await ask('GET', 'deviceManagement/managedDevices/laptop')).deviceRegistrationState
  t.equal(await state(), 'notRegisteredPendingEnrollment')
  await checkIn()
  t.equal(await state(), 'registered')
  await clock.advance(1)
  await register(lab, 'laptop')
  t.equal(await state(), 'notRegisteredPendingEnrollment')
})

t.test('a change reaches devices that are connected', async (t) => {
  const { lab, ask, credential } = await rollout([])
  let woken = 0
  lab.connectPush({ authorization: `Bearer ${credential}` }, { send: () => woken++, close: () => {} })
  await ask('POST', `${configurations}/${root.id}/assign`, { assignments: [allDevices] })
  t.equal(woken, 1)
  await ask('POST', 'groups', { displayName: 'of no concern' })
  t.equal(woken, 1, 'its policy is the same')
  await ask('DELETE', `${configurations}/${root.id}`)
  t.equal(woken, 2)
})

t.test('the user of a device is whom its variables speak of', async (t) => {
  const { policies, ask, refused } = await rollout([])
  const subject = () => policies.policyFor('laptop')?.scepProfiles[0]?.subject
  await ask('POST', `${configurations}/${root.id}/assign`, { assignments: [toGroup('people')] })
  await ask('POST', configurations, { ...wifi, subjectNameFormatString: 'CN={{UserPrincipalName}}', assignments: [toGroup('people')] })
  t.match(subject(), 'ada@contoso.example')
  t.equal(policies.userFor('laptop'), 'ada')
  t.match((await ask('GET', 'deviceManagement/managedDevices/laptop/users')).value, [{ id: 'ada' }])
  for (const [body, expected] of [
    [{}, '@odata.id: expected the URL of a user'],
    [reference('users/nobody'), '@odata.id: expected the URL of a user'],
    [reference('groups/people'), '@odata.id: expected the URL of a user'],
  ] as const)
    t.match(await refused('POST', 'deviceManagement/managedDevices/laptop/users/$ref', body), `400 BadRequest: ${expected}`)
  await ask('DELETE', 'users/ada')
  t.equal(subject(), undefined, 'without her the device is a guest again')
  t.equal(policies.userFor('laptop'), 'user-of-laptop')
})

t.test('profiles of files go where the files say, those of the API where they are assigned', async (t) => {
  const files = {
    imported: importGraph([{ name: 'root.json', bytes: Buffer.from(JSON.stringify(root)) }]),
    tenant: parseTenant(Buffer.from('assign: all'), 'tenant.yaml'),
  }
  const admin = await startAdmin({ files })
  const credential = await register(admin.lab, 'laptop')
  await admin.ask('POST', configurations, { ...root, id: 'second', displayName: 'Second' })
  t.strictSame(await delivered(admin, credential), [root.displayName])
  await admin.ask('POST', `${configurations}/second/assign`, { assignments: [allDevices] })
  t.strictSame(await delivered(admin, credential), [root.displayName, 'Second'])
})

t.test('a device that nobody knows, and one of no platform', async (t) => {
  const { lab, policies, ask } = await startAdmin()
  t.equal(policies.policyFor('nobody'), undefined)
  await register(lab, 'pda', 'palm')
  t.equal(policies.policyFor('pda'), undefined)
  t.match((await ask('GET', 'deviceManagement/managedDevices')).value, [{ id: 'pda', operatingSystem: 'palm', userId: null }])
})

t.test('files that come later take effect', async (t) => {
  let files: Json
  const { policies, lab } = await startAdmin({ files: () => files })
  await register(lab, 'laptop')
  t.same(policies.policyFor('laptop')?.trustedRoots, [])
  files = {
    imported: importGraph([{ name: 'root.json', bytes: Buffer.from(JSON.stringify(root)) }]),
    tenant: parseTenant(Buffer.from('assign: all'), 'tenant.yaml'),
  }
  t.equal(policies.policyFor('laptop')?.trustedRoots.length, 1)
  t.equal(policies.view(), policies.view(), 'the join is made once')
})

t.test('devices', async (t) => {
  const { ask, refused, lab, clock } = await startAdmin()
  const credential = await register(lab, 'device-1', 'ios')
  t.match(await ask('GET', 'deviceManagement/managedDevices/device-1'), {
    operatingSystem: 'iOS',
    osVersion: '11',
    enrolledDateTime: '2026-06-01T12:00:00.000Z',
    lastSyncDateTime: '0001-01-01T00:00:00Z',
    managementState: 'managed',
    userPrincipalName: 'user-of-device-1@contoso.example',
  })
  await clock.advance(60_000)
  t.equal((await post(lab, '/device/report', report(), credential)).status, 204)
  t.match(await ask('GET', 'deviceManagement/managedDevices/device-1'), { lastSyncDateTime: '2026-06-01T12:01:00.000Z' })
  t.match(await refused('GET', 'deviceManagement/managedDevices/other'), '404 ResourceNotFound: no managed device')
  t.match(await refused('POST', 'deviceManagement/managedDevices/other/retire'), '404')
})
