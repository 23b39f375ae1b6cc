import { type LabStore, lmdbLabStore, memoryLabStore } from '@certfleet/emulator/lab'
import { importGraph, parseTenant } from '@certfleet/emulator/tenant'
import t from 'tap'
import { adminApi } from '#emulator/lab/admin/index.ts'
import { maxBodyBytes } from '#emulator/lab/http.ts'
import { type Admin, adminToken, allDevices, configurations, example, type Json, notGroup, startAdmin, toGroup } from './admin-world.ts'
import { jsonOf } from './surroundings.ts'

const root = example('ios-root')
const wifi = example('ios-wifi-user')
const { id: rootId } = root
const { id: wifiId } = wifi
const path = `${configurations}/${wifiId}`

t.test('nobody without the token is told anything', async (t) => {
  const { send, store } = await startAdmin()
  const rows: [string, Record<string, string>][] = [
    ['without a header', {}],
    ['without a token', { authorization: 'Bearer' }],
    ['a guess', { authorization: 'Bearer guess' }],
    ['one character more', { authorization: `Bearer ${adminToken}x` }],
    ['another scheme', { authorization: `Basic ${adminToken}` }],
  ]
  for (const [name, headers] of rows) {
    for (const [method, target, body] of [
      ['GET', configurations, undefined],
      ['POST', configurations, root],
      ['POST', configurations, Buffer.from('{')],
      ['DELETE', 'users/nobody', undefined],
      ['GET', 'deviceManagement/nothing', undefined],
      ['POST', 'deviceManagement/issuedCertificates/00/revoke', {}],
    ] as const) {
      const response = await send(method, target, body, headers)
      t.equal(response.status, 401, `${name}: ${method} ${target}`)
      t.equal(response.headers['www-authenticate'], 'Bearer')
      t.strictSame(jsonOf(response), {
        error: { code: 'InvalidAuthenticationToken', message: 'expected the token of the admin as bearer' },
      })
    }
  }
  t.same([...store.list('adminProfiles')], [])
  t.throws(() => adminApi({ adminToken: 'a'.repeat(15) } as Json), { name: 'TypeError' }, 'a token that could be guessed')
})

t.test('which paths are the API’s', async (t) => {
  const { lab, clock, store, policies, send } = await startAdmin()
  const api = adminApi({ lab, clock, store, policies, adminToken, revoke: lab.revoke, audit: lab.audit } as Json)
  for (const [url, takes] of [
    ['/v1.0/deviceManagement/deviceConfigurations', true],
    ['/beta/groups', true],
    ['http://lab.example/BETA/Users/ada?$top=1', true],
    ["/v1.0/users('ada')", true],
    ['/v1.0/servicePrincipals/appId=0000/endpoints', false],
    ['/v1.0/usersandmore', false],
    ['/v2.0/users', false],
    ['/device/policy', false],
    ['http://', false],
  ] as const)
    t.equal(api.takes(url), takes, url)
  t.equal((await send('GET', '/beta/groups')).status, 200, '/beta is the same')
  t.match(await startAdmin().then(({ refused }) => refused('GET', 'deviceManagement/nothing')), '404 ResourceNotFound')
  t.match(await startAdmin().then(({ refused }) => refused('PUT', 'users')), '405 MethodNotAllowed: expected GET or POST here')
  t.match(await startAdmin().then(({ refused }) => refused('GET', 'users/%zz')), '400 BadRequest: the path holds an escape that is none')
})

t.test('a profile is created, read, changed and deleted', async (t) => {
  const { ask, send, changes, clock, refused } = await startAdmin()
  const created = await ask('POST', configurations, root)
  t.match(created, {
    '@odata.context': 'http://lab.example:8085/v1.0/$metadata#deviceManagement/deviceConfigurations/$entity',
    id: rootId,
    displayName: 'iOS root',
    version: 1,
    createdDateTime: '2026-06-01T12:00:00.000Z',
    trustedRootCertificate: root.trustedRootCertificate,
  })
  const scep = await ask('POST', configurations, wifi)
  t.notOk('rootCertificate@odata.bind' in scep, 'a GET has no link')
  t.equal(
    (await ask('GET', `${path}/microsoft.graph.iosScepCertificateProfile/rootCertificate`)).id,
    rootId,
    'the link has a path of its own',
  )
  t.equal((await ask('GET', `${configurations}('${wifiId}')`)).displayName, wifi.displayName)
  const listed = await ask('GET', `${configurations}?$count=true`)
  t.equal(listed['@odata.count'], 2)
  t.strictSame(new Set(listed.value.map(({ id }: Json) => id)), new Set([rootId, wifiId]))

  await clock.advance(1000)
  t.match(await ask('PATCH', path, { displayName: 'Wi-Fi 2', renewalThresholdPercentage: 99 }), { displayName: 'Wi-Fi 2', version: 2 })
  t.match(await ask('GET', path), {
    renewalThresholdPercentage: 99,
    scepServerUrls: wifi.scepServerUrls,
    lastModifiedDateTime: '2026-06-01T12:00:01.000Z',
    createdDateTime: '2026-06-01T12:00:00.000Z',
  })
  t.equal(changes(), 3)
  t.equal((await send('DELETE', path)).status, 204)
  t.match(await refused('GET', path), `404 ResourceNotFound: no device configuration has the id "${wifiId}"`)
  t.match(await refused('DELETE', path), '404')
  t.equal(changes(), 4)
})

t.test('without an id one is made, and the same name may be there twice', async (t) => {
  const { ask } = await startAdmin()
  const { id: _, ...anonymous } = root
  const ids = [await ask('POST', configurations, anonymous), await ask('POST', configurations, anonymous)].map(({ id }) => id)
  t.match(ids[0], /^[0-9a-f-]{36}$/)
  t.not(ids[0], ids[1])
})

t.test('what is wrong with a profile is named, and changes nothing', async (t) => {
  const { refused, ask, store, changes } = await startAdmin()
  await ask('POST', configurations, root)
  const before = [...store.list('adminProfiles')]
  const rows: [name: string, body: unknown, expected: string][] = [
    ['no JSON', Buffer.from('{'), '400 BadRequest: not JSON at line 1, column 2'],
    ['a member twice', Buffer.from('{"id":"a","id":"b"}'), '400 BadRequest: not JSON at line 1, column 11: expected each member once'],
    ['bytes that are no text', Buffer.from([0x7b, 0x22, 0xff, 0x22]), '400 BadRequest: not UTF-8 text'],
    ['an array', [], '400 BadRequest: expected a JSON object'],
    ['nothing', undefined, '400 BadRequest: @odata.type: expected the type of a Trusted root, SCEP or PFX'],
    ['no type', { ...wifi, '@odata.type': undefined }, '400 BadRequest: @odata.type: expected the type'],
    [
      'a type that is none',
      { ...wifi, '@odata.type': '#microsoft.graph.nothing' },
      '400 BadRequest: @odata.type: nothing is not a certificate type',
    ],
    ['an id that is none', { ...wifi, id: ' ' }, '400 BadRequest: id: expected an id of 1 to 200 characters'],
    ['an id that is no text', { ...wifi, id: 7 }, '400 BadRequest: id: expected an id'],
    ['no name', { ...wifi, displayName: '' }, '400 BadRequest: displayName: expected a name'],
    [
      'threshold 0',
      { ...wifi, renewalThresholdPercentage: 0 },
      '400 BadRequest: renewalThresholdPercentage: expected a whole number from 1 to 99, found 0',
    ],
    [
      'threshold 100',
      { ...wifi, renewalThresholdPercentage: 100 },
      '400 BadRequest: renewalThresholdPercentage: expected a whole number from 1 to 99',
    ],
    [
      'a URL that is none',
      { ...wifi, scepServerUrls: ['ftp://a'] },
      '400 BadRequest: scepServerUrls[0]: expected a URL that starts with http',
    ],
    [
      'a link to nowhere',
      { ...wifi, 'rootCertificate@odata.bind': 'https://x/deviceConfigurations/none' },
      '400 BadRequest: rootCertificate@odata.bind: its Trusted profile "none"',
    ],
    [
      'a link to another platform',
      { ...example('macos-wifi-user'), 'rootCertificate@odata.bind': wifi['rootCertificate@odata.bind'] },
      '400 BadRequest: rootCertificate@odata.bind: its link names "iOS root" of ios',
    ],
    [
      'a root within',
      { ...wifi, rootCertificate: root },
      '400 BadRequest: rootCertificate: expected the link as rootCertificate@odata.bind',
    ],
    [
      'a certificate that is none',
      { ...root, id: 'x', trustedRootCertificate: 'AAAA' },
      '400 BadRequest: trustedRootCertificate: expected a DER certificate',
    ],
    ['assignments that are none', { ...wifi, assignments: {} }, '400 BadRequest: assignments: expected an array'],
    ['an id that is taken', { ...root, displayName: 'other' }, `409 Conflict: a device configuration has the id "${rootId}"`],
    ['too large', Buffer.alloc(maxBodyBytes + 1, 0x20), `413 RequestEntityTooLarge: expected a body of at most ${maxBodyBytes} bytes`],
  ]
  for (const [name, body, expected] of rows) t.match(await refused('POST', configurations, body), expected, name)
  t.strictSame([...store.list('adminProfiles')], before)
  t.equal(changes(), 1)
  const { error } = jsonOf(await (await startAdmin()).send('POST', configurations, { ...wifi, keySize: 'size1', keyUsage: 'none' }))
  t.strictSame(
    error.details.map(({ target }: Json) => target),
    ['keyUsage', 'keySize'],
    'all that is wrong is listed',
  )
})

t.test('a change is judged as a whole', async (t) => {
  const { refused, ask, store } = await startAdmin()
  for (const profile of [root, wifi]) await ask('POST', configurations, profile)
  const before = store.get('adminProfiles', wifiId)
  for (const [patch, expected] of [
    [{ id: 'other' }, '400 BadRequest: id: expected no change of the id'],
    [{ '@odata.type': root['@odata.type'] }, '400 BadRequest: @odata.type: expected no change of the type'],
    [{ assignments: [] }, '400 BadRequest: assignments: expected them by POST to'],
    [{ certificateValidityPeriodValue: 0 }, '400 BadRequest: certificateValidityPeriodValue: expected a whole number'],
    [{ scepServerUrls: null }, '400 BadRequest: scepServerUrls: expected an array'],
  ] as const)
    t.match(await refused('PATCH', path, patch), expected)
  t.match(await refused('PUT', `${path}/rootCertificate/$ref`, {}), '400 BadRequest: @odata.id: expected the URL of a Trusted profile')
  t.match(await refused('PUT', `${path}/rootCertificate/$ref`, { '@odata.id': 'x/none' }), '400 BadRequest: rootCertificate@odata.bind')
  t.strictSame(store.get('adminProfiles', wifiId), before)
  const other = await ask('POST', configurations, { ...root, id: 'other' })
  await ask('PUT', `${path}/rootCertificate/$ref`, { '@odata.id': `http://lab.example/v1.0/${configurations}('${other.id}')` })
  t.equal((await ask('GET', `${path}/rootCertificate`)).id, 'other')
  t.match(await refused('GET', `${configurations}/${rootId}/rootCertificate`), '404 ResourceNotFound')
})

t.test('of two changes at the same time one is told to read again', async (t) => {
  const inner = memoryLabStore()
  const later: LabStore = { ...inner, transaction: (work) => Promise.resolve().then(() => inner.transaction(work)) }
  const { ask, send } = await startAdmin({}, later)
  for (const profile of [root, wifi]) await ask('POST', configurations, profile)
  const answers = await Promise.all(['A', 'B'].map((displayName) => send('PATCH', path, { displayName })))
  t.same(answers.map(({ status }) => status).sort(), [200, 409])
  const [won] = answers.filter(({ status }) => status === 200).map(jsonOf)
  t.equal((await ask('GET', path)).displayName, won.displayName)
})

t.test('a profile without a root may be made, and is told of', async (t) => {
  const { ask } = await startAdmin()
  const { 'rootCertificate@odata.bind': _, ...unlinked } = wifi
  t.match((await ask('POST', configurations, unlinked))['@certfleet.warnings'], [{ id: 'link-missing' }])
})

t.test('assignments', async (t) => {
  const { ask, refused, store } = await startAdmin()
  for (const profile of [root, wifi]) await ask('POST', configurations, profile)
  for (const id of ['pilots', 'kiosks']) await ask('POST', 'groups', { id, displayName: id })
  const all = [
    allDevices,
    { target: { '@odata.type': '#microsoft.graph.allLicensedUsersAssignmentTarget' } },
    toGroup('pilots'),
    notGroup('kiosks'),
  ]
  t.match(await ask('POST', `${path}/assign`, { assignments: all }), {
    value: [
      { id: `${wifiId}_adadadad-808e-44e2-905a-0b7873a8a531`, intent: 'apply', source: 'direct', sourceId: wifiId },
      { id: `${wifiId}_acacacac-9df4-4c7d-9d50-4ef0226f57a9` },
      { id: `${wifiId}_pilots`, target: { groupId: 'pilots', deviceAndAppManagementAssignmentFilterType: 'none' } },
      { target: { '@odata.type': '#microsoft.graph.exclusionGroupAssignmentTarget', groupId: 'kiosks' } },
    ],
  })
  t.equal((await ask('GET', `${path}/assignments`)).value.length, 4)
  t.equal((await ask('GET', `${path}?$expand=assignments`)).assignments.length, 4)
  t.notOk('assignments' in (await ask('GET', path)))
  const before = store.get('adminProfiles', wifiId)
  const filter = {
    ...allDevices.target,
    deviceAndAppManagementAssignmentFilterId: 'f',
    deviceAndAppManagementAssignmentFilterType: 'include',
  }
  for (const [name, assignments, expected] of [
    ['none at all', undefined, '400 BadRequest: assignments: expected an array'],
    [
      'an unknown group',
      [toGroup('pilots'), toGroup('none')],
      '400 BadRequest: assignments[1].target.groupId: expected the id of a group, found "none"',
    ],
    ['a filter', [{ target: filter }], '400 BadRequest: assignments[0].target: assignment filters are not evaluated'],
    ['no target', [{}], '400 BadRequest: assignments[0].target: expected a target'],
    [
      'a collection',
      [{ target: { '@odata.type': '#microsoft.graph.configurationManagerCollectionAssignmentTarget' } }],
      '400 BadRequest: assignments[0].target: a target of type configurationManagerCollection',
    ],
    ['in and out', [toGroup('pilots'), notGroup('pilots')], '400 BadRequest: assignments[1].target: expected each target once'],
    ['twice the same', [allDevices, allDevices], '400 BadRequest: assignments[1].target: expected each target once'],
    ['501 of them', Array.from({ length: 501 }, () => allDevices), '400 BadRequest: assignments: expected at most 500 elements'],
  ] as const)
    t.match(await refused('POST', `${path}/assign`, { assignments }), expected, name)
  t.strictSame(store.get('adminProfiles', wifiId), before)
  t.same(
    await ask('POST', `${path}/assign`, { assignments: [] }).then(({ value }) => value),
    [],
    'the list takes the place of the one before',
  )
  t.match(await refused('POST', `${configurations}/none/assign`, { assignments: [] }), '404')
})

t.test('lists come by pages', async (t) => {
  const { ask, refused } = await startAdmin()
  for (let i = 0; i < 5; i++) await ask('POST', 'groups', { id: `g${i}`, displayName: `Group ${i}` })
  const ids = ({ value }: Json) => value.map(({ id }: Json) => id).join()
  const first = await ask('GET', 'groups?$top=2')
  t.equal(ids(first), 'g0,g1')
  const second = await ask('GET', new URL(first['@odata.nextLink']).pathname + new URL(first['@odata.nextLink']).search)
  t.equal(ids(second), 'g2,g3')
  t.notOk('@odata.nextLink' in (await ask('GET', 'groups?$top=2&$skiptoken=4')))
  t.notOk('@odata.nextLink' in (await ask('GET', 'groups?$top=5')), 'the last page is full')
  t.same(
    (await ask('GET', 'groups?$select=displayName&$top=1')).value,
    [{ '@odata.type': '#microsoft.graph.group', id: 'g0', displayName: 'Group 0', '@certfleet.source': undefined }].map(
      ({ '@certfleet.source': _, ...group }) => group,
    ),
  )
  for (const [query, expected] of [
    ['$top=0', '$top: expected a whole number from 1 to 1000'],
    ['$top=1001', '$top: expected a whole number from 1 to 1000'],
    ['$top=x', '$top: expected'],
    ['$skiptoken=-1', '$skiptoken: expected'],
    ['$filter=id', '$filter: expected no query option but'],
  ] as const)
    t.match(await refused('GET', `groups?${query}`), `400 BadRequest: ${expected}`)
  t.match(await refused('GET', `${configurations}?$expand=rootCertificate`), '400 BadRequest: $expand: expected assignments')
})

t.test('files are there and stay as they are', async (t) => {
  const bytes = (value: unknown) => Buffer.from(JSON.stringify(value))
  const imported = importGraph([root, wifi].map((profile, i) => ({ name: `${i}.json`, bytes: bytes(profile) })))
  const tenant = parseTenant(
    Buffer.from('users: [{id: jane, upn: jane@contoso.example}]\ngroups: [{id: staff, name: Staff, users: [jane]}]\nassign: all\n'),
    'tenant.yaml',
  )
  const { ask, refused } = await startAdmin({ files: { imported, tenant } })
  t.match(await ask('GET', path), { '@odata.type': wifi['@odata.type'], '@certfleet.source': 'file', keySize: 'size2048' })
  t.equal((await ask('GET', `${path}/assignments`)).value.length, 2, 'assign: all')
  t.equal((await ask('GET', `${path}/rootCertificate`)).id, rootId)
  for (const [method, target, body] of [
    ['PATCH', path, {}],
    ['DELETE', path, undefined],
    ['POST', `${path}/assign`, { assignments: [] }],
    ['PUT', `${path}/rootCertificate/$ref`, { '@odata.id': 'x' }],
    ['PATCH', 'users/jane', {}],
    ['DELETE', 'users/jane', undefined],
    ['PATCH', 'groups/staff', {}],
    ['DELETE', 'groups/staff', undefined],
    ['POST', 'groups/staff/members/$ref', { '@odata.id': 'users/jane' }],
    ['DELETE', 'groups/staff/members/jane/$ref', undefined],
  ] as const)
    t.match(
      await refused(method, target, body),
      /^403 Forbidden: the .* comes from a file that the lab was started with/,
      `${method} ${target}`,
    )
  t.match(await refused('POST', configurations, wifi), '409 Conflict')
  t.match(
    await refused('POST', 'users', { id: 'jane', displayName: 'J', userPrincipalName: 'j@x.example' }),
    '409 Conflict: a user has the id',
  )
  t.match(
    await refused('POST', 'users', { displayName: 'J', userPrincipalName: 'JANE@contoso.example' }),
    '409 Conflict: a user has the name',
  )
  t.match(await refused('POST', 'groups', { id: 'staff', displayName: 'S' }), '409 Conflict')
  t.match(await refused('POST', 'groups', { id: 'Staff', displayName: 'S' }), '409 Conflict', 'the name by which files know a group')
  t.match(await ask('POST', configurations, { ...wifi, id: 'mine' }), { id: 'mine' }, 'a link may lead to a root of the files')
  t.equal((await ask('GET', `${configurations}/mine/rootCertificate`)).id, rootId)
})

t.test('what was made is there after a restart', async (t) => {
  const folder = t.testdir()
  const opened = async (): Promise<Admin & { close(): Promise<void> }> => {
    const store = await lmdbLabStore(folder)
    return { ...(await startAdmin({}, store)), close: store.close }
  }
  const before = await opened()
  for (const profile of [root, wifi]) await before.ask('POST', configurations, profile)
  await before.ask('POST', `${path}/assign`, { assignments: [allDevices] })
  t.match(await before.refused('POST', configurations, root), '409', 'a refused change leaves nothing behind')
  await before.close()
  const after = await opened()
  t.teardown(after.close)
  t.equal((await after.ask('GET', `${path}?$expand=assignments`)).assignments.length, 1)
  t.same(after.store.get('adminChanges', 'admin'), { version: 3, profiles: 2, users: 0, groups: 0 })
  for (const id of ['a'.repeat(300), 'a'.repeat(301), 'a'.repeat(60_000)]) {
    t.match(await after.refused('GET', `deviceManagement/managedDevices/${id}`), '404', `an id of ${id.length} characters`)
    t.match(await after.refused('POST', 'groups', { displayName: 'G', 'members@odata.bind': [`devices/${id}`] }), '400')
  }
})
