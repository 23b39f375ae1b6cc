import { readdirSync, readFileSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { folderName, openOutput, type RunResults } from '@certfleet/emulator/fleet'
import fc from 'fast-check'
import t from 'tap'
import { deviceFolders } from '#emulator/fleet/output.ts'

const certificates = [
  { profileId: 'wifi', chain: [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)], csr: Uint8Array.of(4) },
  { profileId: 'vpn', chain: [Uint8Array.of(5), Uint8Array.of(6)], csr: Uint8Array.of(7) },
  { profileId: 'mail', chain: [Uint8Array.of(10), Uint8Array.of(11)] },
]
const results = { seed: 1 } as RunResults

t.test('folderName', async (t) => {
  const rows: [string, string, string][] = [
    ['a plain id is its own name', 'ios-000001', 'ios-000001'],
    ['a capital is told from a small letter', 'IOS', '%49%4f%53'],
    ['a dot', 'results.json', 'results%2ejson'],
    ['the folder above', '..', '%2e%2e'],
    ['a path', '../../etc', '%2e%2e%2f%2e%2e%2fetc'],
    ['a backslash and a colon', 'c:\\x', 'c%3a%5cx'],
    ['a null character', 'a\0b', 'a%00b'],
    ['beyond ASCII', 'é', '%c3%a9'],
    ['a percent sign', '%2e', '%252e'],
    ['a lone surrogate', '\ud800', '%ud800'],
    ['no character', '', '~'],
    ['a name that Windows keeps', 'con', '%63on'],
    ['the longest name that is kept', 'x'.repeat(120), 'x'.repeat(120)],
  ]
  for (const [name, id, expected] of rows) t.equal(folderName(id), expected, name)
  t.match(folderName('x'.repeat(121)), /^x{80}~[0-9a-f]{32}$/, 'a longer one ends in its hash')
  t.not(folderName(`${'x'.repeat(200)}a`), folderName(`${'x'.repeat(200)}b`), 'long ids are told apart')
})

t.test('any two ids have different names that stay inside, whatever the case', async (t) => {
  const id = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 150 }),
    fc.string({ unit: fc.constantFrom('a', 'A', '.', '/', '%', '~', '2', 'e'), maxLength: 6 }),
  )
  fc.assert(
    fc.property(id, id, (a, b) => {
      const [left, right] = [folderName(a), folderName(b)]
      const inside = relative('/out', join('/out', left)) === left && basename(left) === left && left !== '..'
      return inside && left.length <= 255 && (left.toLowerCase() === right.toLowerCase()) === (a === b)
    }),
  )
  t.pass('held')
})

t.test('openOutput', async (t) => {
  const folder = join(t.testdir(), 'deep', 'out')
  const output = await openOutput(folder, '--out')
  await output.begin(Uint8Array.of(9))
  t.notOk(readdirSync(folder).includes('results.json'), 'the results come last')
  await deviceFolders(folder)('a/b', certificates)
  t.notOk(readdirSync(folder).includes('results.json'))
  await output.finish(results, { 'report.html': '<p>', 'junit.xml': '<a/>' })
  const read = (...names: string[]) => readFileSync(join(folder, ...names), 'utf8')

  t.equal(read('root.pem'), '-----BEGIN CERTIFICATE-----\nCQ==\n-----END CERTIFICATE-----\n')
  t.strictSame(JSON.parse(read('results.json')), { seed: 1 })
  t.strictSame([read('report.html'), read('junit.xml')], ['<p>', '<a/>'])
  t.strictSame(
    readdirSync(join(folder, 'a%2fb')).sort(),
    ['cert-2.pem', 'cert-3.pem', 'cert.pem', 'chain-2.pem', 'chain-3.pem', 'chain.pem', 'csr-2.pem', 'csr.pem'],
    'a certificate that came with its key has no request',
  )
  t.match(read('a%2fb', 'cert.pem'), 'AQ==')
  t.match(read('a%2fb', 'chain.pem'), /Ag==[\s\S]*Aw==/, 'issuing CA first, root last')
  t.match(read('a%2fb', 'csr.pem'), /BEGIN CERTIFICATE REQUEST-----\nBA==/)
  t.match(read('a%2fb', 'cert-2.pem'), 'BQ==')

  t.test('a folder of an earlier run loses the devices of that run, and nothing else', async (t) => {
    const again = await openOutput(folder, '--report')
    await again.begin(Uint8Array.of(8))
    t.notOk(readdirSync(folder).includes('results.json'))
    t.strictSame(readdirSync(folder).sort(), ['.certfleet-run', 'root.pem'])
    await deviceFolders(folder)('c', certificates)
    t.strictSame(readdirSync(folder).sort(), ['.certfleet-run', 'c', 'root.pem'])
    t.match(read('root.pem'), 'CA==')
  })
})

t.test('openOutput leaves alone what no run made', async (t) => {
  const folder = t.testdir({
    other: { 'notes.txt': 'mine' },
    used: { '.certfleet-run': '', 'notes.txt': 'mine', dev: { 'cert.pem': '', 'notes.txt': 'mine' } },
    file: '',
  })
  await t.rejects(openOutput(join(folder, 'other'), '--report'), {
    name: 'InputError',
    message: /^--report .*holds files that no run made/,
  })
  t.strictSame(readdirSync(join(folder, 'other')), ['notes.txt'])
  await openOutput(join(folder, 'used'), '--out')
  t.strictSame(readdirSync(join(folder, 'used')).sort(), ['.certfleet-run', 'dev', 'notes.txt'])
  t.strictSame(readdirSync(join(folder, 'used', 'dev')), ['notes.txt'])
  await t.rejects(openOutput(join(folder, 'file'), '--out'), { name: 'InputError', message: /cannot be used \(EEXIST\)/ })
})
