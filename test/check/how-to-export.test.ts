import { join } from 'node:path'
import t from 'tap'
import { exportScript } from '#emulator/check/index.ts'
import { loadExport } from '#emulator/tenant/index.ts'
import { profileTypes } from '#emulator/tenant/profile-types.ts'
import { command } from '../commands/terminal.ts'
import { type Json, pkcs, scep, told, trustedRoot } from '../tenant/graph.ts'

t.test('certfleet check --how-to-export prints the script, and asks for no export', async (t) => {
  const { exitCode, stdout, stderr } = await command(['check', '--how-to-export'])
  t.same([exitCode, stdout, stderr], [0, exportScript, ''])
  const lines = stdout.trimEnd().split('\n')
  const statements = lines.filter((line) => !line.startsWith('#'))
  t.ok(statements.length <= 22, `${statements.length} lines`)
  t.ok(lines.every((line) => line.length <= 140 && /^[\x20-\x7e]*$/.test(line)))
  for (const [open, close] of ['()', '{}', '[]']) t.equal(stdout.split(open as string).length, stdout.split(close as string).length)
})

const all = 'https://graph.microsoft.com/beta/deviceManagement/deviceConfigurations'

/** The type filter of the script, as .NET reads it without regard to case. */
const withRoot = new RegExp(/\$withRoot = '(.+)'/.exec(exportScript)?.[1] as string, 'i')

t.test('it asks for a root where the schema has one, and where Graph then answers 400', async (t) => {
  t.same(
    profileTypes.map(({ name }) => name).filter((name) => withRoot.test(`microsoft.graph.${name}`)),
    [
      ...['iosScepCertificateProfile', 'macOSScepCertificateProfile', 'androidScepCertificateProfile'],
      ...['androidDeviceOwnerScepCertificateProfile', 'androidForWorkScepCertificateProfile', 'androidWorkProfileScepCertificateProfile'],
      ...['aospDeviceOwnerScepCertificateProfile', 'windows10XSCEPCertificateProfile', 'windows81SCEPCertificateProfile'],
      ...['windowsPhone81SCEPCertificateProfile', 'androidPkcsCertificateProfile', 'androidDeviceOwnerPkcsCertificateProfile'],
      ...['androidForWorkPkcsCertificateProfile', 'androidWorkProfilePkcsCertificateProfile', 'aospDeviceOwnerPkcsCertificateProfile'],
      ...['androidImportedPFXCertificateProfile', 'androidDeviceOwnerImportedPFXCertificateProfile'],
      'androidForWorkImportedPFXCertificateProfile',
    ],
  )
})

t.test('what it writes of the answers of Graph is an export without a lost link', async (t) => {
  const assignments = [{ id: 'scep-1_g1', target: { '@odata.type': '#microsoft.graph.groupAssignmentTarget', groupId: 'g1' } }]
  const android = '#microsoft.graph.androidWorkProfile'
  const { 'rootCertificate@odata.bind': _scep, ...unlinkedScep } = scep({ assignments })
  const { 'rootCertificate@odata.bind': _pkcs, ...unlinkedPkcs } = pkcs({ '@odata.type': `${android}PkcsCertificateProfile` })
  const unbound = { ...unlinkedScep, id: 'scep-2', displayName: 'Unbound', assignments: [] }
  const context = 'https://graph.microsoft.com/beta/$metadata#deviceManagement/deviceConfigurations(assignments())'
  const windowsRoot = trustedRoot({ assignments: [], 'assignments@odata.context': context })
  const androidRoot = trustedRoot({ '@odata.type': `${android}TrustedRootCertificate`, id: 'root-2', displayName: 'Android root' })
  const answers: Record<string, Json> = {
    [`${all}?$expand=assignments`]: {
      '@odata.context': context,
      '@odata.nextLink': `${all}?$skiptoken=2`,
      value: [unlinkedScep, windowsRoot],
    },
    [`${all}?$skiptoken=2`]: { '@odata.context': context, value: [unlinkedPkcs, androidRoot, unbound] },
    [`${all}/scep-1/microsoft.graph.windows81SCEPCertificateProfile/rootCertificate`]: windowsRoot,
    [`${all}/pkcs-1/microsoft.graph.androidWorkProfilePkcsCertificateProfile/rootCertificate`]: androidRoot,
  }
  const files = runByHand((uri) => answers[uri])
  const folder = t.testdir(files)
  const result = await loadExport(folder)
  t.same(Object.keys(files), ['page-1.json', 'page-2.json', 'links.json'])
  t.same(told(result), ['warning link-missing page-2.json value[2]'], 'only the profile that Graph knows no root of')
  t.match(result.findings, [{ message: /links\.json names none for it/ }])
  t.match(result.profiles, [
    { id: 'scep-1', link: { rootProfileId: 'root-1' }, file: 'page-1.json' },
    { id: 'root-1' },
    { id: 'pkcs-1', link: { rootProfileId: 'root-2' } },
    { id: 'root-2' },
    { id: 'scep-2' },
  ])
  t.match(result.assignments, [{ profileId: 'scep-1', target: { kind: 'group', group: 'g1' } }])
  t.match(await command(['check', join(folder)]), { exitCode: 0 })
})

/** What the script does, statement by statement; nothing here runs PowerShell. An absent answer is a 404. */
function runByHand(request: (uri: string) => Json | undefined): Record<string, string> {
  for (const statement of [
    "for ($next = $all + '?$expand=assignments'; $next; $next = $answer.'@odata.nextLink') {",
    'Set-Content -Encoding utf8 "$Folder/page-$page.json"',
    '"$all/$($item.id)/$type/rootCertificate"',
    'profile = $item.id; rootCertificate = $root.id',
    '@{ links = $links } | ConvertTo-Json -Depth 20 | Set-Content -Encoding utf8 "$Folder/links.json"',
  ])
    t.ok(exportScript.includes(statement), statement)
  t.ok(exportScript.includes(`$all = '${all}'`))
  const files: Record<string, string> = {}
  const links: Json[] = []
  let page = 0
  for (let next: unknown = `${all}?$expand=assignments`; next; ) {
    const answer = request(next as string) as Json
    files[`page-${++page}.json`] = JSON.stringify(answer, null, 2)
    for (const item of answer.value as Json[]) {
      const type = String(item['@odata.type']).replace(/^#/, '')
      const root = withRoot.test(type) ? request(`${all}/${item.id}/${type}/rootCertificate`) : undefined
      if (root) links.push({ profile: item.id, rootCertificate: root.id })
    }
    next = answer['@odata.nextLink']
  }
  return { ...files, 'links.json': JSON.stringify({ links }, null, 2) }
}
