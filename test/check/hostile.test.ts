import { execFileSync } from 'node:child_process'
import { symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { command } from '../commands/terminal.ts'
import { bindTo, type Json, scep, trustedRoot } from '../tenant/graph.ts'

const profile = JSON.stringify(trustedRoot())
const utf16 = (text: string, ...more: number[]) => Buffer.concat([Buffer.from(`\ufeff${text}`, 'utf16le'), Buffer.from(more)])

t.test('a file that holds no readable JSON is told with its place, the others are read', async (t) => {
  const rows: [string, string | Uint8Array, RegExp][] = [
    ['empty', '', /line 1, column 1: expected a value/],
    ['only a byte order mark', Buffer.from([0xef, 0xbb, 0xbf]), /line 1, column 1/],
    ['truncated', profile.slice(0, 60), /line 1, column \d+: expected/],
    ['NUL bytes', Buffer.alloc(1000), /line 1, column 1/],
    ['an older code page', Buffer.from('{"displayName": "M\u00fcller"}', 'latin1'), /not UTF-8 text at byte 19; save it as UTF-8/],
    ['half a character at the end of UTF-16', utf16('{}', 0x20), /not UTF-16LE text at byte 7/],
    ['a lone surrogate in UTF-16', utf16('["\ud800"]'), /not UTF-16LE text at byte 10/],
    ['a member twice', '{\n  "id": 1,\n  "\\u0069d": 2\n}', /line 3, column 3: expected each member once, found "id" again/],
    ['100,000 nested arrays', '['.repeat(100_000), /line 1, column 65: expected at most 64 levels/],
    ['100,000 nested objects', '{"a":'.repeat(100_000), /line 1, column 321: expected at most 64 levels/],
    ['objects without end', `[${'{},'.repeat(100_000)}{}]`, /\[99999\]: expected at most 100000 objects in all files together/],
    ['members without end', `{${Array.from({ length: 100_001 }, (_, i) => `"${i}":0`).join()}}`, /at most 100000 members in one object/],
    ['values without end', `{"a": [${'0,'.repeat(4_000_000)}0]}`, /line 1, column \d+: expected at most 4000000 values/],
    ['lines without end', `${'\n'.repeat(4_000_000)}x`, /line 4000001, column 1: expected a value/],
  ]
  for (const [name, content, message] of rows) {
    const folder = t.testdir({ 'a-good.json': profile, 'bad.json': '' })
    writeFileSync(join(folder, 'bad.json'), content)
    const { exitCode, stdout, stderr } = await command(['check', folder])
    t.match([exitCode, stderr], [2, ''], name)
    const line = stdout.split('\n').find((text) => text.startsWith('error'))
    t.match(line, /^error {2}bad\.json.*\[file-malformed\]$/, name)
    t.match(line, message, name)
    t.match(stdout, /^trusted-root {2}windows {2}"Root" {2}a-good\.json$/m, `${name}: the rest of the export is told`)
  }
})

t.test('as one JSON document where that is asked for', async (t) => {
  const folder = t.testdir({ 'bad.json': '{"a"', 'good.json': profile })
  const { exitCode, stdout } = await command(['check', folder, '--json'])
  t.equal(exitCode, 2)
  t.match(JSON.parse(stdout), { errors: 1, profiles: [{ id: 'root-1' }], findings: [{ id: 'file-malformed', file: 'bad.json' }] })
})

t.test('what is no file of bounded size is refused before it is read', { skip: process.platform === 'win32' && 'no pipes' }, async (t) => {
  const folder = t.testdir({ 'big.json': '', total: {}, inside: { 'x.json': { 'in.json': profile } } })
  truncateSync(join(folder, 'big.json'), 64 * 1024 * 1024 + 1)
  for (const i of [1, 2, 3, 4, 5]) {
    writeFileSync(join(folder, `total/${i}.json`), '')
    truncateSync(join(folder, `total/${i}.json`), 64 * 1024 * 1024)
  }
  const pipe = join(folder, 'pipe.json')
  execFileSync('mkfifo', [pipe])
  const rows: [string, RegExp][] = [
    [join(folder, 'big.json'), /big\.json: expected at most 67108864 bytes, found 67108865$/],
    [join(folder, 'total'), /total: expected at most 268435456 bytes in all files together, found 335544320$/],
    [pipe, /pipe\.json: expected a regular file$/],
    ['/dev/zero', /\/dev\/zero: expected a regular file$/],
  ]
  for (const [path, message] of rows) {
    const { exitCode, stdout, stderr } = await command(['check', path])
    t.match([exitCode, stdout], [2, ''], path)
    t.match(stderr.trimEnd(), message, path)
    t.equal(stderr.trimEnd().split('\n').length, 1, 'in one line')
  }
})

t.test('a folder is walked once: no pipe, no link to a folder, no link in a circle is followed', async (t) => {
  const folder = t.testdir({ 'x.json': { 'in.json': profile }, 'b.json': t.fixture('symlink', 'x.json/in.json') })
  symlinkSync('.', join(folder, 'again'))
  symlinkSync('circle.json', join(folder, 'circle.json'))
  symlinkSync('gone', join(folder, 'notes.txt'))
  if (process.platform !== 'win32') execFileSync('mkfifo', [join(folder, 'pipe.json')])
  const { exitCode, stdout } = await command(['check', folder, '--json'])
  const { profiles, findings } = JSON.parse(stdout)
  t.equal(exitCode, 0)
  t.match(profiles, [{ file: 'b.json' }], 'a folder that is named like a file is a folder; a link to a file is that file')
  t.equal(profiles.length, 1)
  t.same(
    findings.map(({ id, file }: Json) => `${id} ${file}`),
    ['again', 'circle.json', 'pipe.json']
      .filter((file) => process.platform !== 'win32' || file !== 'pipe.json')
      .map((file) => `file-skipped ${file}`),
  )
})

t.test('a folder of 20,001 files is refused', async (t) => {
  const folder = t.testdir({})
  for (let i = 0; i <= 20_000; i++) writeFileSync(join(folder, `${i}.json`), '')
  t.match(await command(['check', folder]), { exitCode: 2, stdout: '', stderr: /: expected at most 20000 \*\.json files, found more/ })
})

t.test('lists without end inside a profile are one finding', async (t) => {
  const rows: [string, Json, RegExp][] = [
    ['assignments', { assignments: new Array(10_001).fill({}) }, /assignments: expected at most 10000 assignments/],
    ['extended key usages', { extendedKeyUsages: new Array(100_000).fill(0) }, /extendedKeyUsages: .*expected at most 500 elements/],
    ['URLs', { scepServerUrls: new Array(100_000).fill(0) }, /scepServerUrls: .*expected at most 500 elements/],
  ]
  for (const [name, members, message] of rows) {
    const { exitCode, stdout } = await command(['check', t.testdir({ 'a.json': JSON.stringify([scep(members), trustedRoot()]) })])
    t.equal(exitCode, 1, name)
    t.same(stdout.match(/^error/gm)?.length, 1, name)
    t.match(stdout, message, name)
  }
  const links = t.testdir({ 'links.json': JSON.stringify({ links: new Array(100_000).fill(0) }) })
  t.match(await command(['check', links]), { exitCode: 2, stdout: /links: expected at most 10000 links \[links-file-invalid\]/ })
})

t.test('links in a circle end', async (t) => {
  const roots = [trustedRoot({ 'rootCertificate@odata.bind': bindTo('scep-1') })]
  const rows: [string, Json[], Json | undefined, string][] = [
    ['a profile that links itself', [scep({ 'rootCertificate@odata.bind': bindTo('scep-1') })], undefined, 'link-other-platform'],
    ['a root that links the profile', [scep(), ...roots], undefined, ''],
    [
      'two profiles that link each other',
      [scep({ 'rootCertificate@odata.bind': bindTo('scep-2') }), scep({ id: 'scep-2', displayName: 'Other' })],
      undefined,
      'link-other-platform',
    ],
    [
      'a circle in links.json',
      [scep({ 'rootCertificate@odata.bind': undefined }), scep({ id: 'scep-2', 'rootCertificate@odata.bind': undefined })],
      {
        links: [
          { profile: 'scep-1', rootCertificate: 'scep-2' },
          { profile: 'scep-2', rootCertificate: 'scep-1' },
        ],
      },
      'link-other-platform',
    ],
  ]
  for (const [name, documents, links, id] of rows) {
    const folder = t.testdir({ 'a.json': JSON.stringify(documents), ...(links && { 'links.json': JSON.stringify(links) }) })
    const { exitCode, stdout } = await command(['check', folder, '--json'])
    t.equal(exitCode, id === '' ? 0 : 1, name)
    const finding = JSON.parse(stdout).findings.find((found: Json) => String(found.id).startsWith('link-'))
    t.match(finding ?? { id: '' }, { id }, name)
    if (id !== '') t.match(finding, { file: /json$/, path: /./ }, name)
  }
})
