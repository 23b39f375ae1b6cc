import t from 'tap'
import { importGraph } from '#emulator/tenant/index.ts'
import { bindTo, file, imported, type Json, profileOf, scep, scepOf, told, trustedRoot } from './graph.ts'

const iosRoot = '#microsoft.graph.iosTrustedRootCertificate'

function unlinked(members: Json = {}): Json {
  const { 'rootCertificate@odata.bind': _link, ...rest } = scep()
  return { ...rest, ...members }
}

function withLinks(links: unknown, ...documents: Json[]) {
  return importGraph([...documents.map((document, i) => file(document, `${i}.json`)), file(links, 'folder/links.json')])
}

const row = (profile: string, rootCertificate: string) => ({ links: [{ profile, rootCertificate }] })

t.test('each notation finds the root', async (t) => {
  const notations: [string, Json][] = [
    ['@odata.bind', { 'rootCertificate@odata.bind': bindTo('root-1') }],
    [
      '@odata.bind with slashes',
      { 'rootCertificate@odata.bind': 'https://graph.microsoft.com/beta/deviceManagement/deviceConfigurations/root-1' },
    ],
    ['#CustomRef_', { '#CustomRef_rootCertificate': 'Root|:|#microsoft.graph.windows81TrustedRootCertificate' }],
    ['an expanded object with its id', { rootCertificate: { id: 'root-1' } }],
    ['an expanded object with a name', { rootCertificate: { displayName: 'Root' } }],
    ['two notations that agree', { 'rootCertificate@odata.bind': bindTo('root-1'), '#CustomRef_rootCertificate': 'Root|:|x' }],
  ]
  for (const [name, members] of notations) {
    const result = imported(unlinked(members), trustedRoot())
    t.same([scepOf(result).link, told(result)], [{ rootProfileId: 'root-1' }, []], name)
  }
  for (const [profile, root] of [
    ['scep-1', 'root-1'],
    ['Scep', 'Root'],
    ['Scep', 'root-1'],
  ] as const) {
    const result = withLinks(row(profile, root), unlinked(), trustedRoot())
    t.same([scepOf(result).link, told(result)], [{ rootProfileId: 'root-1' }, []], `links.json: ${profile} to ${root}`)
  }
})

t.test('an expanded root stands for itself where the export lacks it', async (t) => {
  const { '@odata.type': _type, ...expanded } = trustedRoot()
  const result = imported(unlinked({ rootCertificate: expanded }))
  t.same([scepOf(result).link, told(result)], [{ rootProfileId: 'root-1' }, []])
  t.match(profileOf(result, 'root-1'), { kind: 'trusted-root', family: 'windows81', path: 'rootCertificate' })
  t.equal(imported(unlinked({ rootCertificate: expanded }), trustedRoot()).profiles.length, 2, 'and is one profile where the export has it')
})

t.test('a name is looked for among the roots of the own platform', async (t) => {
  const ios = trustedRoot({ id: 'root-ios', '@odata.type': iosRoot })
  const result = withLinks(row('Scep', 'Root'), unlinked(), ios, trustedRoot())
  t.same([scepOf(result).link, told(result)], [{ rootProfileId: 'root-1' }, []])
})

t.test('a link that cannot be followed leaves the profile without a root, and is told', async (t) => {
  const ios = trustedRoot({ id: 'root-ios', displayName: 'iOS Root', '@odata.type': iosRoot })
  const twin = trustedRoot({ id: 'root-2' })
  const second = trustedRoot({ id: 'root-2', displayName: 'Second' })
  const bind = 'rootCertificate@odata.bind'
  const rows: [string, Json[], string, RegExp][] = [
    ['no link', [unlinked(), trustedRoot()], 'warning link-missing 0.json', /names no Trusted profile/],
    [
      'an id that is not there',
      [scep({ [bind]: bindTo('gone') }), trustedRoot()],
      `warning link-unknown 0.json ${bind}`,
      /"gone" is not in this export/,
    ],
    [
      'a name that is not there',
      [unlinked({ '#CustomRef_rootCertificate': 'Gone|:|x' }), trustedRoot()],
      'warning link-unknown 0.json #CustomRef_rootCertificate',
      /"Gone"/,
    ],
    [
      'a name that two have',
      [unlinked({ '#CustomRef_rootCertificate': 'Root|:|x' }), trustedRoot(), twin],
      'error link-ambiguous 0.json #CustomRef_rootCertificate',
      /2 Trusted profiles/,
    ],
    [
      "another platform's id (S7)",
      [scep({ [bind]: bindTo('root-ios') }), ios],
      `error link-other-platform 0.json ${bind}`,
      /expected a Trusted profile of windows81/,
    ],
    [
      "another platform's name (S7)",
      [unlinked({ '#CustomRef_rootCertificate': 'iOS Root|:|x' }), ios],
      'error link-other-platform 0.json #CustomRef_rootCertificate',
      /of ios/,
    ],
    [
      'a profile that is no root',
      [scep({ [bind]: bindTo('scep-1') }), trustedRoot()],
      `error link-other-platform 0.json ${bind}`,
      /is no Trusted profile/,
    ],
    [
      'two that differ',
      [scep({ '#CustomRef_rootCertificate': 'Second|:|x' }), trustedRoot(), second],
      `error link-conflict 0.json ${bind}`,
      /2 different/,
    ],
  ]
  for (const [name, documents, finding, problem] of rows) {
    const result = imported(...documents)
    t.same(told(result), [finding], name)
    t.match(scepOf(result).link, { problem }, name)
  }
})

t.test('an invalid root is still the linked one: the device fails for want of it', async (t) => {
  const result = imported(scep(), trustedRoot({ trustedRootCertificate: 'AAAA' }))
  t.same(scepOf(result).link, { rootProfileId: 'root-1' })
  t.equal(profileOf(result, 'root-1').kind, 'invalid')
})

t.test('links.json is checked', async (t) => {
  const at = (path: string) => `error links-file-invalid folder/links.json ${path}`
  const rows: [string, unknown, string[]][] = [
    ['no links', {}, [at('links')]],
    ['a row without a root', { links: [{ profile: 'Scep' }] }, [at('links[0].rootCertificate')]],
    ['a misspelt member', { links: [{ profile: 'Scep', rootCertificate: 'Root', root: 'Root' }] }, [at('links[0]')]],
    ['a profile that is not there', row('Nobody', 'Root'), ['warning link-unknown folder/links.json links[0]']],
    ['no JSON', 'links:', ['error file-malformed folder/links.json']],
  ]
  for (const [name, links, findings] of rows) t.same(told(withLinks(links, scep(), trustedRoot())), findings, name)
})
