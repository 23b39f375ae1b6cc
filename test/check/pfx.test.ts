import t from 'tap'
import { checkExport } from '#emulator/check/index.ts'
import type { IntendedPurpose } from '#emulator/tenant/index.ts'
import { importedPfx, type Json, pkcs, trustedRoot } from '../tenant/graph.ts'
import { type CorpusRow, corpus, inputOf } from './checked.ts'

const users = 'users:\n  - { id: ann, upn: ann@a.example }\n  - { id: bob, upn: bob@a.example }\n'
const devices = (...members: string[]) => `assign: all\n${users}devices:\n${members.map((one) => `  - { ${one} }\n`).join('')}`
const laptop = 'platform: windows, osVersion: 10.0.26100'
const ofAnn = `id: d1, ${laptop}, user: ann`
const userless = `id: kiosk, ${laptop}`

corpus(t, [
  {
    name: 'pfx-profile.imported-by-user: a device without a user',
    documents: [trustedRoot(), importedPfx()],
    tenant: devices(ofAnn, userless),
    id: 'pfx-without-user',
    finds: [
      {
        severity: 'error',
        device: 'kiosk',
        profileId: 'pfx-1',
        code: 'ERR_PROFILE_INVALID',
        shown: /^Windows/,
        source: 'pfx-profile.imported-by-user',
      },
    ],
  },
  {
    name: 'a PKCS profile',
    documents: [trustedRoot(), pkcs({ subjectNameFormatString: 'CN={{DeviceId}}' })],
    tenant: devices(userless),
    id: 'pfx-without-user',
    finds: [],
  },
  {
    name: 'a device of another system',
    documents: [trustedRoot(), importedPfx()],
    tenant: devices('id: d1, platform: ios, osVersion: 18.1'),
    id: 'pfx-without-user',
    finds: [],
  },
  { name: 'is told once', documents: [trustedRoot(), importedPfx()], tenant: devices(userless), id: 'delivery-failed', finds: [] },
] satisfies CorpusRow[])

type Imported = readonly (readonly [user: string, purposes: readonly IntendedPurpose[]])[]

function notImported(imported: Imported | undefined, members: Json = {}, tenant = devices(ofAnn)) {
  const input = inputOf([trustedRoot(), importedPfx(members)], tenant)
  const importedPfxes = imported && new Map(imported.map(([user, purposes]) => [user, new Set(purposes)]))
  const { findings } = checkExport({ ...input, tenant: { ...input.tenant, importedPfx: importedPfxes } as typeof input.tenant })
  return findings.filter(({ id }) => id === 'pfx-not-imported')
}

t.test('pfx-not-imported: for that user and that purpose', async (t) => {
  const found = [
    { severity: 'error', device: 'd1', profileId: 'pfx-1', code: 'ERR_PROFILE_INVALID', message: /smimeSigning .* user "ann"$/ },
  ]
  t.match(notImported([]), found, 'nobody has one')
  t.match(notImported([['bob', ['smimeSigning']]]), found, 'another user has one')
  t.match(notImported([['ann', ['smimeEncryption']]]), found, 'one for another purpose')
  t.match(notImported([['ann', []]]), found, 'none for any purpose')
  t.same(notImported([['ann', ['vpn', 'smimeSigning']]]), [])
  t.same(notImported([['ann', ['unassigned']]], { intendedPurpose: 'unassigned' }), [])
})

t.test('pfx-not-imported: nothing is told of what is not known, nor of devices without a user', async (t) => {
  t.same(notImported(undefined), [])
  t.same(notImported([], {}, devices(userless)), [])
})
