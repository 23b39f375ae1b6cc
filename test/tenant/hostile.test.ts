import { isDeepStrictEqual } from 'node:util'
import { parsePolicy } from '@certfleet/agent-core'
import fc from 'fast-check'
import t from 'tap'
import { assignProfiles, generateTenant, renderPfxRequests, renderPolicy, retarget } from '#emulator/tenant/index.ts'
import { imported, importedPfx, pkcs, rootCertificate, scep, trustedRoot } from './graph.ts'

const tenant = generateTenant({ counts: { windows: 1 }, domain: 'contoso.example' })
const [deviceId] = tenant.devices.keys() as IterableIterator<string>

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom(...'{}=,+;"\\#<> ', 'CN', 'UserName', '{{DeviceId}}', '\u0000') }),
)
const anyValue = fc.oneof(anyText, fc.jsonValue({ maxDepth: 2 }))

t.test('whatever a profile holds, the import ends, and the device gets a document that it can read', async (t) => {
  const members = fc.constantFrom(
    ...Object.keys(scep()),
    ...Object.keys(trustedRoot()),
    'customSubjectAlternativeNames',
    'assignments',
    'rootCertificate',
    '#CustomRef_rootCertificate',
  )
  const changes = fc.array(fc.tuple(members, anyValue), { maxLength: 3 }).map((entries) => Object.fromEntries(entries))
  fc.assert(
    fc.property(changes, changes, (ofScep, ofRoot) => {
      const { intent } = assignProfiles(imported(scep(ofScep), trustedRoot(ofRoot)), tenant)
      const document = renderPolicy(intent, tenant, deviceId as string, { revision: 1 })
      parsePolicy(Buffer.from(JSON.stringify(document)), deviceId)
    }),
    { numRuns: 300 },
  )
  t.pass('300 profiles')
})

t.test('whatever a PFX profile holds, what the connector is asked is what the document has', async (t) => {
  const members = fc.constantFrom(...Object.keys(pkcs()), 'intendedPurpose', 'keyStorageProvider', 'customSubjectAlternativeNames')
  const changes = fc.array(fc.tuple(members, anyValue), { maxLength: 3 }).map((entries) => Object.fromEntries(entries))
  const lab = { root: new Uint8Array(Buffer.from(rootCertificate, 'base64')), scepUrl: 'http://lab.invalid/scep' }
  fc.assert(
    fc.property(changes, changes, (ofPkcs, ofImported) => {
      const before = imported(trustedRoot(), pkcs(ofPkcs), importedPfx(ofImported))
      const { intent } = assignProfiles(retarget(before, lab).imported, tenant)
      const document = renderPolicy(intent, tenant, deviceId as string, { revision: 1, importedRevision: () => 'x' })
      const { pfxProfiles = [] } = parsePolicy(Buffer.from(JSON.stringify(document)), deviceId)
      const asked = renderPfxRequests(intent, tenant, deviceId as string).map(({ profileId }) => profileId)
      return isDeepStrictEqual(
        asked,
        pfxProfiles.map(({ id }) => id),
      )
    }),
    { numRuns: 300 },
  )
  t.pass('300 profiles')
})

t.test('whatever a name holds, the device gets a document that it can read', async (t) => {
  const name = fc.record({
    sanType: fc.constantFrom('emailAddress', 'domainNameService', 'universalResourceIdentifier', 'none', ','),
    name: anyText,
  })
  fc.assert(
    fc.property(anyText, fc.array(name, { maxLength: 3 }), (subjectNameFormatString, customSubjectAlternativeNames) => {
      const { intent } = assignProfiles(imported(scep({ subjectNameFormatString, customSubjectAlternativeNames }), trustedRoot()), tenant)
      const document = renderPolicy(intent, tenant, deviceId as string, { revision: 1 })
      const policy = parsePolicy(Buffer.from(JSON.stringify(document)), deviceId)
      return policy.scepProfiles.length + policy.failedProfiles.length === 1
    }),
    { numRuns: 300 },
  )
  t.pass('300 subjects')
})
