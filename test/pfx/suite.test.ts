import { join } from 'node:path'
import t from 'tap'
import { buildPfx } from '#agent-core/pfx/index.ts'
import { pkcs12 } from '../vectors/suites/pkcs12.ts'
import { certificateBag, issued, password, pfxOfBags } from './files.ts'

const one = await issued('CN=one')
const contents = { privateKey: one.privateKey, certificates: [one.certificate.raw], password: 'secret', iterations: 1 }
const modern = Buffer.from(await buildPfx(contents))
const legacy = Buffer.from(await buildPfx({ ...contents, algorithms: 'legacy' }))
const unlocked = Buffer.from(await buildPfx({ ...contents, password: '' }))
const noKey = Buffer.from(await pfxOfBags(certificateBag(one.certificate.raw)))

/** What the cases of a folder with these files say, each `id: expected, found`. */
async function outcomes(dir: string): Promise<readonly string[]> {
  const lines: string[] = []
  for (const { id, expected, run } of pkcs12.load(dir) ?? []) {
    const found = await Promise.resolve(run()).catch((error: Error & { code?: string }) => error.code ?? error.message)
    lines.push(`${id.replace('pkcs12::', '')}: ${expected}, ${found}`)
  }
  return lines
}

t.test('rows decide, the most specific first; a file without one is not scored', async (t) => {
  const rows = [
    '# a comment',
    'key-*.p12, two.pfx\tsecret\tOK key+cert',
    'key-free-*.p12\t(empty)\tOK',
    'key-old.p12\tsecret\tOK key+cert (accept only if the legacy switch is on)',
    `cert.p12\t${password}\tOK cert, no key`,
    'bad.p12\tsecret\tREFUSE: it is bad',
    'any of the above\twrong\tREFUSE: bad password',
    'absent.p12\tsecret\tOK',
  ]
  const files = { 'key-a.p12': modern, 'two.pfx': modern, 'key-free-a.p12': unlocked, 'key-old.p12': legacy, 'cert.p12': noKey }
  const others = { 'bad.p12': '', 'empty.p12': '', 'other.p12': modern, 'README.md': '' }
  const dir = t.testdir({ pkcs12: { 'EXPECTED.tsv': rows.join('\n'), ...files, ...others } })
  t.strictSame(await outcomes(dir), [
    'bad.p12: refuse, ERR_PFX_INVALID',
    'cert.p12: accept, accept',
    'cert.p12::wrong password: refuse, refuse',
    'key-a.p12: accept, accept',
    'key-a.p12::wrong password: refuse, refuse',
    'key-free-a.p12: accept, accept',
    'key-free-a.p12::wrong password: refuse, refuse',
    'key-old.p12: accept, accept',
    'key-old.p12::without legacy: refuse, ERR_ALGORITHM_REFUSED',
    'key-old.p12::wrong password: refuse, refuse',
    'two.pfx: accept, accept',
    'two.pfx::wrong password: refuse, refuse',
  ])
  t.strictSame(pkcs12.unscored(dir), ['empty.p12', 'other.p12'])
})

t.test('a file that is not what its row says fails', async (t) => {
  const rows = ['a.p12\tsecret\tOK cert, no key', 'b.p12\tother\tOK', 'name-1-pwd.p12\tsecret\tOK', 'c.p12\tsecret\tREFUSE']
  const files = { 'a.p12': modern, 'b.p12': modern, 'c.p12': modern, 'name-1-pwd.p12': modern }
  const dir = t.testdir({ pkcs12: { 'EXPECTED.tsv': rows.join('\r\n'), ...files } })
  t.strictSame(
    (await outcomes(dir)).filter((line) => !line.includes('wrong password')),
    ['a.p12: accept, refuse', 'b.p12: accept, ERR_PFX_PASSWORD', 'c.p12: refuse, accept', 'name-1-pwd.p12: accept, refuse'],
  )
})

t.test('a folder without the suite, and one without rows', async (t) => {
  const dir = t.testdir({ bare: { pkcs12: { 'a.p12': '' } }, none: {} })
  t.equal(pkcs12.load(join(dir, 'none')), undefined)
  t.strictSame(pkcs12.unscored(join(dir, 'none')), [])
  t.strictSame(pkcs12.load(join(dir, 'bare')), [])
  t.strictSame(pkcs12.unscored(join(dir, 'bare')), ['a.p12'])
})
