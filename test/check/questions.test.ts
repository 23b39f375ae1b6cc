import t from 'tap'
import { answersOf, checkContext, type QuestionAnswer } from '#emulator/check/index.ts'
import { importedPfx, type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { inputOf } from './checked.ts'

const nothingBesides = { probed: false, emulated: false }

function answers(documents: readonly Json[], tenant?: string, besides = nothingBesides): readonly QuestionAnswer[] {
  return answersOf(checkContext(inputOf(documents, tenant)).context, besides)
}

/** By its number, from 1. */
function answer(number: number, ...asked: Parameters<typeof answers>): QuestionAnswer {
  const found = answers(...asked)[number - 1]
  if (found === undefined) throw new Error(`there is no question ${number}`)
  return found
}

const unlinked = { 'rootCertificate@odata.bind': undefined }
const people = 'users: [{id: jane, upn: jane@contoso.example}]\n'
const windows = 'devices: [{id: d1, platform: windows, osVersion: 10.0.26100}]\n'
const whole = [trustedRoot(), scep(), pkcs(), importedPfx()]
const androidScep = (members: Json = {}) =>
  scep({ '@odata.type': '#microsoft.graph.androidWorkProfileScepCertificateProfile', id: 'scep-2', displayName: 'Android', ...members })
const ca = (url: string, members: string) => `{scepUrls: ['${url}'], ${members}}`
const url = 'https://ndes.example/certsrv/mscep/mscep.dll'
const facts = 'validity: 1 year, expires: 2040-01-01, extendedKeyUsages: [1.3.6.1.5.5.7.3.2]'

t.test('fifteen questions, each of which says what is missing where it is open', async (t) => {
  for (const all of [answers(whole), answers([]), answers(whole, people + windows, { probed: true, emulated: true })]) {
    t.equal(all.length, 15)
    t.equal(new Set(all.map(({ question }) => question)).size, 15)
    for (const { question, answered, missing } of all) {
      t.match(question, /\?$/)
      t.equal(missing === undefined, answered === 'yes', question)
    }
  }
})

t.test('an export of nothing leaves nothing open', async (t) => {
  t.same(
    answers([trustedRoot()]).filter(({ answered }) => answered !== 'yes'),
    [],
  )
})

t.test('all that can be known but the edit answers all but the edit', async (t) => {
  const tenant = `${people}${windows}importedPfx: []\nauthorities: [${ca(url, facts)}, {template: User, ${facts}}]`
  const open = answers(whole, tenant, { probed: true, emulated: true }).filter(({ answered }) => answered !== 'yes')
  t.same(
    open.map(({ answered, missing }) => [answered, missing]),
    [['no', 'the export as it was before (--diff OLD)']],
  )
})

const noTenant = 'who and what the profiles are for (--tenant FILE)'

const rows: readonly {
  readonly name: string
  readonly number: number
  readonly asked: Parameters<typeof answers>
  readonly answered: QuestionAnswer['answered']
  readonly missing?: string
}[] = [
  { name: 'no tenant, no assignments', number: 1, asked: [[trustedRoot(), scep()]], answered: 'no', missing: noTenant },
  {
    name: 'no tenant, assignments in the export',
    number: 1,
    asked: [[trustedRoot(), scep({ assignments: [{ target: { '@odata.type': '#microsoft.graph.allDevicesAssignmentTarget' } }] })]],
    answered: 'in-part',
    missing: noTenant,
  },
  {
    name: 'one of two profiles without its root',
    number: 1,
    asked: [[trustedRoot(), scep(), scep({ id: 'scep-3', displayName: 'Other', ...unlinked })], windows],
    answered: 'in-part',
    missing: 'the Trusted profile of 1 of 2 certificate profiles (links.json, or an export by --how-to-export)',
  },
  { name: 'nothing of Android', number: 2, asked: [[trustedRoot(), scep()]], answered: 'yes' },
  { name: 'Android without a tenant', number: 2, asked: [[androidScep()]], answered: 'no', missing: noTenant },
  {
    name: 'Android without an Android device',
    number: 2,
    asked: [[androidScep()], windows],
    answered: 'no',
    missing: 'devices of android (devices in tenant.yaml)',
  },
  { name: 'no tenant', number: 3, asked: [[trustedRoot(), scep()]], answered: 'no', missing: noTenant },
  {
    name: 'devices of one of two platforms',
    number: 3,
    asked: [[trustedRoot(), scep(), androidScep()], windows],
    answered: 'in-part',
    missing: 'devices of android (devices in tenant.yaml)',
  },
  { name: 'an imported PFX names nobody', number: 3, asked: [[trustedRoot(), importedPfx()]], answered: 'yes' },
  { name: 'no tenant: commas are told all the same', number: 4, asked: [[trustedRoot(), scep()]], answered: 'in-part', missing: noTenant },
  { name: 'not probed', number: 5, asked: [[trustedRoot(), scep()]], answered: 'no', missing: 'what the SCEP servers present (--probe)' },
  { name: 'probed', number: 5, asked: [[trustedRoot(), scep()], undefined, { probed: true, emulated: false }], answered: 'yes' },
  {
    name: 'probed, with no root to hold it against',
    number: 5,
    asked: [[scep(unlinked)], undefined, { probed: true, emulated: false }],
    answered: 'no',
    missing: 'the Trusted profile of 1 certificate profile (links.json, or an export by --how-to-export)',
  },
  { name: 'no SCEP', number: 5, asked: [[trustedRoot(), pkcs()]], answered: 'yes' },
  { name: 'a question about the profile alone', number: 6, asked: [[androidScep()]], answered: 'yes' },
  { name: 'not emulated', number: 7, asked: [[trustedRoot(), scep()]], answered: 'no', missing: 'a run of the devices (--emulate)' },
  { name: 'emulated', number: 7, asked: [[trustedRoot(), scep()], windows, { probed: false, emulated: true }], answered: 'yes' },
  {
    name: 'no CA known',
    number: 8,
    asked: [[trustedRoot(), scep(), pkcs()]],
    answered: 'no',
    missing: 'what the CA gives to 2 certificate profiles (authorities in the file of --tenant: validity, expires, extendedKeyUsages)',
  },
  {
    name: 'the CA of one of two profiles known',
    number: 8,
    asked: [[trustedRoot(), scep(), pkcs()], `authorities: [${ca(url, facts)}]`],
    answered: 'in-part',
    missing: 'what the CA gives to 1 of 2 certificate profiles (authorities in tenant.yaml: validity, expires, extendedKeyUsages)',
  },
  {
    name: 'a CA known in part',
    number: 8,
    asked: [[trustedRoot(), scep()], `authorities: [${ca(url, 'validity: 1 year')}]`],
    answered: 'in-part',
    missing: 'what the CA gives to 1 certificate profile (authorities in tenant.yaml: validity, expires, extendedKeyUsages)',
  },
  { name: 'the CA known', number: 8, asked: [[trustedRoot(), scep()], `authorities: [${ca(url, facts)}]`], answered: 'yes' },
  {
    name: 'another CA known',
    number: 8,
    asked: [[trustedRoot(), scep()], `authorities: [${ca('https://other.example/', facts)}]`],
    answered: 'no',
    missing: 'what the CA gives to 1 certificate profile (authorities in tenant.yaml: validity, expires, extendedKeyUsages)',
  },
  {
    name: 'no CA known: by what the profile asks for',
    number: 10,
    asked: [[trustedRoot(), scep()]],
    answered: 'in-part',
    missing: 'what the CA gives to 1 certificate profile (authorities in the file of --tenant: validity, expires)',
  },
  {
    name: 'lifetimes known',
    number: 10,
    asked: [[trustedRoot(), scep()], `authorities: [${ca(url, 'validity: 1 year, expires: 2040-01-01')}]`],
    answered: 'yes',
  },
  { name: 'no tenant', number: 11, asked: [[trustedRoot(), scep()]], answered: 'no', missing: noTenant },
  { name: 'linked', number: 12, asked: [[trustedRoot(), scep()]], answered: 'yes' },
  {
    name: 'not linked',
    number: 12,
    asked: [[trustedRoot(), scep(unlinked)]],
    answered: 'no',
    missing: 'the Trusted profile of 1 certificate profile (links.json, or an export by --how-to-export)',
  },
  {
    name: 'no tenant: that no profile asks for it is told',
    number: 13,
    asked: [[trustedRoot(), scep()]],
    answered: 'in-part',
    missing: noTenant,
  },
  { name: 'nothing is mapped on Android', number: 13, asked: [[androidScep()]], answered: 'yes' },
  { name: 'no imported PFX profile', number: 14, asked: [[trustedRoot(), scep()]], answered: 'yes' },
  { name: 'no tenant', number: 14, asked: [[trustedRoot(), importedPfx()]], answered: 'no', missing: noTenant },
  {
    name: 'a tenant that does not say what was imported',
    number: 14,
    asked: [[trustedRoot(), importedPfx()], windows],
    answered: 'in-part',
    missing: 'for whom PFX were imported (importedPfx in tenant.yaml)',
  },
  {
    name: 'a tenant for whom nothing was imported',
    number: 14,
    asked: [[trustedRoot(), importedPfx()], `${windows}importedPfx: []`],
    answered: 'yes',
  },
  {
    name: 'no tenant',
    number: 15,
    asked: [[trustedRoot(), scep()]],
    answered: 'no',
    missing: `${noTenant}; a run of the devices (--emulate)`,
  },
  {
    name: 'not emulated',
    number: 15,
    asked: [[trustedRoot(), scep()], windows],
    answered: 'in-part',
    missing: 'a run of the devices (--emulate)',
  },
]

for (const { name, number, asked, answered, missing } of rows) {
  t.test(`question ${number}: ${name}`, async (t) => {
    const found = answer(number, ...asked)
    t.same([found.answered, found.missing], [answered, missing])
  })
}

t.test('question 11: what uses a certificate may not say which', async (t) => {
  const input = inputOf([trustedRoot(), scep()], windows)
  const consumer = { displayName: 'Wi-Fi', typeName: 'windowsWifiEnterpriseEAPConfiguration', file: 'wifi.json', path: '' }
  const consumers = [consumer, { ...consumer, certificateProfileId: 'scep-1' }]
  const ask = (count: number) => {
    const { context } = checkContext({ ...input, imported: { ...input.imported, consumers: consumers.slice(count) } })
    return answersOf(context, nothingBesides)[10]
  }
  t.match(ask(0), {
    answered: 'in-part',
    missing: 'which certificate 1 of 2 Wi-Fi, VPN and email profiles use (an export with their links)',
  })
  t.match(ask(1), { answered: 'yes', missing: undefined })
})
