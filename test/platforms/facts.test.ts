import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { facts, factsOf, factsPage, parseOs, sources, subjects } from '@certfleet/platforms'
import t from 'tap'

const page = join(process.cwd(), 'docs/platforms.md')
const tests = join(process.cwd(), 'test')

t.test('fact ids are unique and in the form <topic>.<what>', async (t) => {
  t.equal(new Set(facts.map((fact) => fact.id)).size, facts.length)
  for (const { id } of facts) t.match(id, /^[a-z]+(-[a-z]+)*(\.[a-z0-9]+(-[a-z0-9]+)*){1,2}$/)
})

t.test('every fact names platforms, one sentence of effect and a source that the page explains', async (t) => {
  for (const fact of facts) {
    t.ok(fact.platforms.length > 0 && fact.platforms.every((platform) => subjects.includes(platform)), `${fact.id}: platforms`)
    t.match(fact.effect, /^[A-Z"/].*\.$/, `${fact.id}: effect`)
    for (const source of fact.source.split('; ')) t.ok(Object.hasOwn(sources, source.split(' ')[0] ?? ''), `${fact.id}: source ${source}`)
  }
})

t.test('every source on the page is the source of a fact', async (t) => {
  const used = new Set(facts.flatMap((fact) => fact.source.split('; ').map((source) => source.split(' ')[0])))
  t.same([...used].sort(), Object.keys(sources).sort())
})

t.test('versions are versions, and none ends before it begins', async (t) => {
  for (const { id, since, until } of facts) {
    for (const version of [since, until]) if (version !== undefined) t.equal(parseOs('ios', version).version, version, id)
    t.notOk(since !== undefined && until !== undefined && since === until, id)
  }
})

t.test('factsOf gives the rows of one system at one version', async (t) => {
  const ids = (platform: 'ios' | 'windows', osVersion: string) => factsOf(platform, osVersion).map((fact) => fact.id)
  t.ok(ids('ios', '14').includes('key-size.ios-4096'))
  t.notOk(ids('ios', '13.7').includes('key-size.ios-4096'))
  t.ok(ids('windows', '8.1').includes('windows.passport.too-old'), 'below the version that a fact ends at')
  t.notOk(ids('windows', '10').includes('windows.passport.too-old'), 'at the version that a fact ends at')
  t.notOk(ids('windows', '10').includes('windows-phone.tpm.always'))
  t.ok(ids('windows', 'Phone 8.1').includes('windows-phone.tpm.always'))
})

/** Whether a test has the id as it stands, and not as a part of another. */
function isCitedIn(text: string, id: string): boolean {
  return new RegExp(`(?<![\\w.-])${id.replaceAll('.', '\\.')}(?![\\w-]|\\.\\w)`).test(text)
}

t.test('every fact is cited by a test', async (t) => {
  const names = readdirSync(tests, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts'))
  const cited = names.filter((name) => !name.endsWith('facts.test.ts')).map((name) => readFileSync(join(tests, name), 'utf8'))
  const text = cited.join('\n')
  for (const { id } of facts) t.ok(isCitedIn(text, id), id)
})

t.test('docs/platforms.md is what the facts generate', async (t) => {
  t.equal(readFileSync(page, 'utf8'), factsPage(), 'run `npm run docs`')
})

t.test('no cell of the page can break its table', async (t) => {
  for (const line of factsPage().split('\n')) {
    if (!line.startsWith('| `')) continue
    t.equal(line.replaceAll('\\|', '').split('|').length - 2, 8, line)
  }
})
