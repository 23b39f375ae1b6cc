import { deepStrictEqual } from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { parseDistinguishedName, quoteNameValue } from '@certfleet/agent-core/pki'
import {
  type Delivery,
  type LostSetting,
  type Os,
  type PfxDelivery,
  parseOs,
  type ReadDelivery,
  type RootDelivery,
  readSyncMl,
  renderSyncMl,
  type ScepDelivery,
} from '@certfleet/platforms'
import fc from 'fast-check'
import t from 'tap'
import { hostileTexts } from '../security/hostile-bytes.ts'
import { delivery as published, refusal } from './syncml.ts'

const systems = { windows: parseOs('windows', '10.0.19045'), android: parseOs('android', '14') }

/** Text with what forms use to part values in it; without control characters, which no name may hold. */
const anyText = fc.oneof(
  fc.string({ unit: fc.constantFrom(...' ,;+="\\#<>&%/{}\'', 'a', 'B', '1', 'ü', '𐍈', ']]>', '&lt;', '\u2028', '\u200f') }),
  fc.string({ unit: 'grapheme' }).filter((text) => !/[\p{Cc}\p{Cs}\ufffe\uffff]/u.test(text)),
)
const someText = anyText.filter((text) => text.trim() !== '')
const lines = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r', 'x', '&', '<'), minLength: 1 })
const bytes = fc.uint8Array({ minLength: 1, maxLength: 48 })
const oid = fc.array(fc.nat(99_999), { minLength: 1, maxLength: 6 }).map((arcs) => `1.3.${arcs.join('.')}`)
const key = fc.constantFrom('CN', 'ou', 'E', 'DC', '2.5.4.5', 'oid.1.2.3.4')
const subject = fc
  .array(
    fc.array(
      fc
        .tuple(
          key,
          someText.filter((text) => text.length < 200),
        )
        .map(([name, value]) => `${name}=${quoteNameValue(value)}`),
      {
        minLength: 1,
        maxLength: 2,
      },
    ),
    { maxLength: 4 },
  )
  .map((rdns) => rdns.map((rdn) => rdn.join('+')).join(', '))
const subjectAltName = fc.record({ type: fc.constantFrom('email', 'upn', 'dns', 'uri'), value: anyText } as const)
const principal = fc.constantFrom('device' as const, 'user' as const)
const storage = fc.constantFrom(
  'useTpmKspOtherwiseUseSoftwareKsp' as const,
  'useTpmKspOtherwiseFail' as const,
  'usePassportForWorkKspOtherwiseFail' as const,
  'useSoftwareKsp' as const,
)
const url = fc.webUrl({ withQueryParameters: true, withFragments: true })

const rootDelivery: fc.Arbitrary<RootDelivery> = fc.record({
  id: someText,
  displayName: anyText,
  certificate: bytes,
  destinationStore: fc.constantFrom('computer-root', 'computer-intermediate', 'user-intermediate'),
})
const scepDelivery = fc.record(
  {
    id: someText,
    displayName: anyText,
    principal,
    urls: fc.uniqueArray(url, { minLength: 1, maxLength: 3 }),
    challenge: fc.oneof(someText, lines),
    subject,
    subjectAltNames: fc.array(subjectAltName, { maxLength: 4 }),
    keyBits: fc.constantFrom(1024, 2048, 4096),
    keyUsages: fc.constantFrom(['digitalSignature'], ['keyEncipherment'], ['digitalSignature', 'keyEncipherment']),
    keyStorage: storage,
    extendedKeyUsages: fc.array(oid, { maxLength: 3 }),
    validity: fc.record({ value: fc.integer({ min: 1, max: 9999 }), scale: fc.constantFrom('days', 'months', 'years') } as const),
    hashes: fc.uniqueArray(fc.constantFrom('sha1', 'sha256', 'sha384', 'sha512'), { minLength: 1 }),
    renewalThresholdPercent: fc.integer({ min: 1, max: 99 }),
    retries: fc.record({
      count: fc.nat(99),
      delayMs: fc.oneof(
        fc.nat(90_000),
        fc.nat(60).map((count) => count * 60_000),
      ),
    }),
    rootThumbprint: fc.constant('0123456789abcdef0123456789abcdef01234567'),
  },
  {
    requiredKeys: [
      ...(['id', 'displayName', 'principal', 'urls', 'subject', 'subjectAltNames', 'keyBits', 'keyUsages', 'extendedKeyUsages'] as const),
      ...(['hashes', 'rootThumbprint', 'keyStorage'] as const),
    ],
  },
) as fc.Arbitrary<ScepDelivery>
const pfxDelivery: fc.Arbitrary<PfxDelivery> = fc.record(
  {
    id: someText,
    displayName: anyText,
    principal,
    pfx: bytes,
    password: fc.oneof(anyText, lines),
    keyStorage: storage,
    exportable: fc.boolean(),
  },
  { requiredKeys: ['id', 'displayName', 'principal', 'pfx', 'password', 'keyStorage'] },
)

/** Each request tied to one of the roots where there is one. */
const delivery: fc.Arbitrary<Delivery> = fc
  .record({
    deviceId: someText.map((text) => text.trim()),
    roots: fc.uniqueArray(rootDelivery, { selector: ({ id }) => id, maxLength: 2 }),
    scep: fc.uniqueArray(scepDelivery, { selector: ({ id }) => id.toLowerCase(), maxLength: 2 }),
    pfx: fc.uniqueArray(pfxDelivery, { selector: ({ id }) => id.toLowerCase(), maxLength: 2 }),
  })
  .map((one) => ({ ...one, scep: one.scep.map((scep, index) => tied(scep, one.roots[index])) }))

function tied(scep: ScepDelivery, root: RootDelivery | undefined): ScepDelivery {
  return root ? { ...scep, rootId: root.id, rootThumbprint: sha1(root.certificate) } : scep
}

function sha1(certificate: Uint8Array): string {
  return createHash('sha1').update(certificate).digest('hex')
}

/** Of a delivery and of what was read of it: all that is not told to be lost, in one way of writing it. */
function kept(one: Delivery | ReadDelivery, lost: readonly LostSetting[]): unknown {
  const loses = (id: string, setting: string) => lost.some((told) => told.id === id && told.setting === setting)
  const without = (id: string, members: object) => Object.fromEntries(Object.entries(members).filter(([name]) => !loses(id, name)))
  const rootOf = (rootId: string | undefined) => {
    const root = one.roots.find(({ id }) => id === rootId)
    return root && sha1(root.certificate)
  }
  return {
    deviceId: one.deviceId,
    roots: one.roots.flatMap(({ certificate, ...root }) =>
      loses(root.id, 'certificate') ? [] : [{ ...without(root.id, root), certificate: Buffer.from(certificate).toString('hex') }],
    ),
    scep: one.scep.map(({ subject, rootId, ...scep }) => ({
      ...without(scep.id, scep),
      subject: parseDistinguishedName(subject),
      root: rootOf(rootId),
    })),
    pfx: one.pfx.flatMap(({ pfx, ...rest }) =>
      loses(rest.id, 'pfx') ? [] : [{ ...without(rest.id, rest), pfx: Buffer.from(pfx).toString('hex') }],
    ),
  }
}

/** Without prototypes and members that are undefined. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

/** What was lost was told by the ids delivered; what was read has others where ids are lost. */
function readBack(text: string, os: Os, delivered: Delivery, lost: readonly LostSetting[]): ReadDelivery {
  const read = readSyncMl(text, os)
  const firsts = delivered.roots.filter(({ id }) => !lost.some((told) => told.id === id && told.setting === 'certificate'))
  return { ...read, roots: read.roots.map((root, index) => ({ ...root, id: firsts[index]?.id ?? root.id })) as RootDelivery[] }
}

/** Of the names of a request, those that are carried where some are not. */
function carried(one: Delivery, lost: readonly LostSetting[], carries: (value: string) => boolean): Delivery {
  const partly = (id: string) => lost.some((told) => told.id === id && told.setting === 'subjectAltNames')
  const names = (scep: ScepDelivery) =>
    partly(scep.id) ? scep.subjectAltNames.filter(({ value }) => carries(value)) : scep.subjectAltNames
  return { ...one, scep: one.scep.map((scep) => ({ ...scep, subjectAltNames: names(scep) })) }
}

const carries = { windows: (value: string) => !value.includes(';'), android: (value: string) => value.trim() !== '' }

for (const platform of ['windows', 'android'] as const) {
  const os = systems[platform]
  t.test(`${platform}: what was delivered is read again, but for what is told to be lost`, async (t) => {
    let rendered = 0
    const named = new Set<string>()
    fc.assert(
      fc.property(delivery, (one) => {
        let rendering: ReturnType<typeof renderSyncMl> | undefined
        const said = refusal(() => {
          rendering = renderSyncMl(one, os)
        })
        if (rendering === undefined) return void named.add(/\(([\w.-]+)\)$/.exec(said)?.[1] ?? said)
        rendered++
        const lost = rendering.lost.filter(({ setting }) => setting !== 'subjectAltNames' && setting !== 'id')
        const expected = kept(carried(one, rendering.lost, carries[platform]), lost)
        const read = readBack(rendering.text, os, one, rendering.lost)
        const found = kept({ ...read, scep: read.scep.map((scep) => ({ ...scep, rootId: rootIdOf(scep, read) })) as ScepDelivery[] }, lost)
        deepStrictEqual(plain(found), plain(expected))
      }),
      { numRuns: 150, seed: 7 },
    )
    t.ok(rendered > 40, `${rendered} of 150 were rendered`)
    for (const name of named) t.match(name, /^(windows|android)[\w.-]+$/, `refused by ${name}`)
  })
}

function rootIdOf({ rootThumbprint }: ScepDelivery, { roots }: ReadDelivery): string | undefined {
  return roots.find(({ certificate }) => sha1(certificate) === rootThumbprint)?.id
}

const fragments = [
  '<',
  '>',
  '&',
  '"',
  '</Data>',
  '<!DOCTYPE a>',
  '<![CDATA[',
  ']]>',
  '&#0;',
  '%',
  '/',
  ';',
  '+',
  '\u0000',
  '\ud800',
  'Atomic',
  '99',
  'é',
]
const edit = fc.record({ at: fc.nat(20_000), remove: fc.nat(40), insert: fc.constantFrom('', ...fragments) })

function mutant(text: string, edits: readonly { at: number; remove: number; insert: string }[]): string {
  return edits.reduce((changed, { at, remove, insert }) => {
    const start = at % (changed.length + 1)
    return changed.slice(0, start) + insert + changed.slice(start + remove)
  }, text)
}

for (const [platform, os] of Object.entries(systems)) {
  t.test(`${platform}: a mutant is read or refused`, async (t) => {
    const { text } = renderSyncMl(published, os)
    const said = new Set<string>()
    const body = text.indexOf('<SyncBody>')
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        said.add(refusal(() => readSyncMl(text.slice(0, body) + mutant(text.slice(body), edits), os)).slice(0, 120))
      }),
      { numRuns: 400, seed: 7 },
    )
    t.ok(said.size > 5, `${said.size} outcomes`)
  })

  t.test(`${platform}: a message with a value of its own is read or refused`, async (t) => {
    const { text } = renderSyncMl(published, os)
    const values = [...text.matchAll(/<Data>[^<]*<\/Data>/g)].map(([data]) => data)
    fc.assert(
      fc.property(
        fc.constantFrom(...values),
        fc.oneof(anyText, fc.constantFrom('0', '-1', '1e9', '999999999', 'constructor', '__proto__')),
        (data, value) => {
          const escaped = value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
          refusal(() =>
            readSyncMl(
              text.replace(data, () => `<Data>${escaped}</Data>`),
              os,
            ),
          )
        },
      ),
      { numRuns: 300, seed: 7 },
    )
    t.pass('nothing but AgentErrors')
  })
}

/** CPU time, which a busy machine does not stretch. */
const limitMs = 250
const costly: readonly (readonly [name: string, text: string])[] = [
  ...hostileTexts,
  ['a text of 512 KiB', `<a>${'b'.repeat(524_000)}</a>`],
  ['many references', `<a>${'&amp;'.repeat(100_000)}</a>`],
  ['many comments', `<a>${'<!---->x'.repeat(65_000)}</a>`],
  ['a name without an end', `<${'a'.repeat(524_000)}`],
  ['an entity without an end', `<a>&${'a'.repeat(524_000)}`],
  ['a document type without an end', `<!DOCTYPE a [${'<!ENTITY a "b">'.repeat(34_000)}`],
  ['many attributes', `<a ${Array.from({ length: 49_000 }, (_, i) => `b${i}=""`).join(' ')}/>`],
  ['many prefixes', `<a ${Array.from({ length: 10_000 }, (_, i) => `xmlns:b${i}="u"`).join(' ')}>${'<b1:c/>'.repeat(20_000)}</a>`],
  ['deep', '<a>'.repeat(174_000)],
]
for (const [name, text] of costly) {
  t.test(`${name} costs under ${limitMs} ms`, async (t) => {
    const once = () => {
      const start = process.cpuUsage()
      refusal(() => readSyncMl(text, systems.windows))
      const { user, system } = process.cpuUsage(start)
      return (user + system) / 1000
    }
    let spent = once()
    for (let i = 0; i < 2 && spent > limitMs; i++) spent = once()
    t.ok(spent < limitMs, `${Math.round(spent)} ms`)
  })
}

const xmllint = spawnSync('xmllint', ['--version']).error ? 'xmllint is not installed' : false
t.test('another reader takes what is written', { skip: xmllint }, async (t) => {
  for (const os of Object.values(systems)) execFileSync('xmllint', ['--noout', '-'], { input: renderSyncMl(published, os).text })
  t.pass()
})
