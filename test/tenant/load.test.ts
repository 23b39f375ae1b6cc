import { existsSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { parsePolicy } from '@certfleet/agent-core'
import t from 'tap'
import { assignProfiles, generateTenant, loadExport, loadTenant, renderPolicy } from '#emulator/tenant/index.ts'
import { root } from '../tooling/root.ts'
import { exampleExport, exampleGraph, scep, told, trustedRoot } from './graph.ts'

t.test('a folder is read with the folders in it, *.json only', async (t) => {
  const directory = t.testdir({
    'root.JSON': JSON.stringify(trustedRoot()),
    deep: { er: { 'scep.json': `\ufeff${JSON.stringify({ value: [scep({ 'rootCertificate@odata.bind': undefined })] })}` } },
    'links.json': JSON.stringify({ links: [{ profile: 'Scep', rootCertificate: 'Root' }] }),
    'notes.txt': 'no JSON',
  })
  const result = await loadExport(directory)
  t.same(told(result), [])
  t.match(
    result.profiles.map(({ file, path }) => [file, path]),
    [
      [join('deep', 'er', 'scep.json'), 'value[0]'],
      ['root.JSON', ''],
    ],
  )
  t.match((await loadExport(join(directory, 'root.JSON'))).profiles, [{ file: 'root.JSON' }], 'a single file')
})

t.test('what cannot be read is an error that names it', async (t) => {
  const directory = t.testdir({ empty: {}, 'big.json': '' })
  truncateSync(join(directory, 'big.json'), 64 * 1024 * 1024 + 1)
  await t.rejects(loadExport(join(directory, 'none')), {
    code: 'ERR_PROFILE_INVALID',
    message: /none: expected a file or folder that can be read \(ENOENT\)/,
  })
  await t.rejects(loadExport(join(directory, 'empty')), { code: 'ERR_PROFILE_INVALID', message: /empty: expected \*\.json files/ })
  await t.rejects(loadExport(join(directory, 'big.json')), {
    code: 'ERR_LIMIT_EXCEEDED',
    message: /big\.json: expected at most 67108864 bytes/,
  })
  await t.rejects(loadTenant(join(directory, 'none.yaml')), { message: /none\.yaml: expected a file/ })
})

t.test('the example tenant delivers every profile to every device it is for', async (t) => {
  const graph = await loadExport(exampleExport)
  const tenant = await loadTenant(join(root, 'packages/emulator/examples/contoso/tenant.yaml'))
  const { intent, findings } = assignProfiles(graph, tenant)
  t.same([told(graph), told({ findings })], [[], []])
  const delivered = [...tenant.devices.keys()].map((id) => {
    const document = renderPolicy(intent, tenant, id, { revision: 1 })
    const policy = parsePolicy(Buffer.from(JSON.stringify(document)), id)
    return [
      id,
      policy.trustedRoots.length,
      policy.scepProfiles.map(({ displayName, request }) => `${displayName}: ${request.subject}`),
      policy.failedProfiles,
    ]
  })
  t.same(delivered, [
    ['ios-jane', 1, ['iOS Wi-Fi user: CN=jane,E=jane.doe@contoso.example,OU=Users,O=Contoso'], []],
    ['ios-omar', 1, ['iOS Wi-Fi user: CN=omar,E=omar.haddad@contoso.example,OU=Users,O=Contoso'], []],
    ['macos-jane', 1, ['macOS Wi-Fi user: CN=jane,OU=Users,O=Contoso'], []],
    ['macos-mika', 1, ['macOS Wi-Fi user: CN=mika,OU=Users,O=Contoso'], []],
    ['android-omar', 1, ['Android work profile Wi-Fi user: CN=omar@contoso.example,OU=Android,O=Contoso'], []],
    ['android-mika', 1, ['Android work profile Wi-Fi user: CN=mika@contoso.example,OU=Android,O=Contoso'], []],
    [
      'windows-jane',
      1,
      [
        'Windows VPN device: CN=LAPTOP-JANE,OU=Devices,O=Contoso',
        'Windows Wi-Fi user: CN=jane,E=jane.doe@contoso.example,OU=Users,O=Contoso',
      ],
      [],
    ],
    [
      'windows-omar',
      1,
      [
        'Windows VPN device: CN=LAPTOP-OMAR,OU=Devices,O=Contoso',
        'Windows Wi-Fi user: CN=omar,E=omar.haddad@contoso.example,OU=Users,O=Contoso',
      ],
      [],
    ],
    ['windows-kiosk', 1, ['Windows VPN device: CN=KIOSK-LOBBY,OU=Devices,O=Contoso'], []],
  ])
})

t.test('the example profiles go to a generated fleet without a failure', async (t) => {
  const tenant = generateTenant({ counts: { ios: 3, macos: 3, android: 3, windows: 3 }, domain: 'contoso.example' })
  const { intent, findings } = assignProfiles(await loadExport(exampleGraph), tenant)
  t.same(findings, [])
  for (const [id, { platform }] of tenant.devices) {
    const { trustedRoots, scepProfiles, failedProfiles } = renderPolicy(intent, tenant, id, { revision: 1 })
    t.same([trustedRoots.length, scepProfiles.length, failedProfiles], [1, 1, []], `${id} (${platform})`)
  }
})

const samples = process.env.CERTFLEET_SAMPLES ?? join(root, '../shared/samples')
const missing = existsSync(join(samples, 'graph')) ? false : `no samples: set CERTFLEET_SAMPLES to a folder that holds graph/`

t.test('captures of a live tenant import without an error, documentation examples with their real ones', { skip: missing }, async (t) => {
  const { findings, profiles } = await loadExport(join(samples, 'graph'))
  t.same(told({ findings: findings.filter(({ severity }) => severity === 'error') }), [
    'error profile-invalid iostrustedrootcertificate-create.response.json trustedRootCertificate',
    'error profile-invalid windows81scepcertificateprofile-create.response.json scepServerUrls[0]',
    'error profile-invalid windows81scepcertificateprofile-create.response.json extendedKeyUsages[0].objectIdentifier',
  ])
  t.same(
    profiles.filter(({ file }) => /^(get|post)_/.test(file)).map(({ kind, displayName }) => `${kind} ${displayName}`),
    [
      'trusted-root unit-test-android-owner-root',
      'scep unit-test-android-work-scep',
      'scep unit-test-macos-scep',
      'pkcs unit-test-windows-pkcs',
      'scep unit-test-windows-scep',
      'scep unit-test-ios-scep',
      'trusted-root unit-test-windows-root',
    ],
  )
  const ignored = findings.filter(({ id }) => id === 'type-ignored').map(({ file }) => file)
  t.same(ignored.sort(), [
    'deviceconfigurationassignment-get.response.json',
    'manageddevicecertificatestate-get.response.json',
    'userpfxcertificate-get.response.json',
  ])
})
