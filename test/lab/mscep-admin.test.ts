import { type LabOptions, lmdbLabStore, type NdesAdministrator, type NdesRegistry, serveLab } from '@certfleet/emulator/lab'
import { ndesFacts } from '@certfleet/platforms'
import t, { type Test } from 'tap'
import { request } from 'undici'
import { testKey } from '../fakes/certificates.ts'
import { csrFor, enroll, enrolled, messageFor, sendMessage, startLab, type TestLab, wifi } from './surroundings.ts'

const minute = 60_000
const adminUrl = '/certsrv/mscep_admin/'
const administrators: NdesAdministrator[] = [
  { name: 'EXAMPLE\\ada', password: 'correct: horse' },
  { name: 'reader@example', password: 'påss', enroll: false },
]
const basic = (name: string, password: string) => `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
const ada = basic('EXAMPLE\\ada', 'correct: horse')

async function start(registry: Partial<NdesRegistry> = {}, options: Partial<LabOptions> = {}): Promise<TestLab> {
  const it = await startLab({ ndes: { administrators }, ...options })
  await it.lab.ndes.setRegistry(registry)
  await it.lab.ndes.restartIis()
  return it
}

const visit = ({ lab }: TestLab, authorization?: string, url = adminUrl) =>
  lab.handle({ method: 'GET', url, headers: authorization === undefined ? {} : { authorization } })
const pageOf = async (it: TestLab, authorization = ada) => Buffer.from((await visit(it, authorization)).body).toString('utf16le')
const passwordIn = (page: string) => /enrollment challenge password is: <B> ([0-9A-F]+) <\/B>/.exec(page)?.[1]

async function password(it: TestLab): Promise<string> {
  const found = passwordIn(await pageOf(it))
  if (found === undefined) throw new Error('the page shows no password')
  return found
}

t.test('who gets in', async (t) => {
  const it = await start()
  const rows: [string, string | undefined, number][] = [
    ['no credentials', undefined, 401],
    ['an administrator', ada, 200],
    ['the scheme in another case', ada.replace('Basic', 'bAsIc'), 200],
    ['another account', basic('reader@example', 'påss'), 200],
    ['a wrong password', basic('EXAMPLE\\ada', 'correct: horsf'), 401],
    ['a password that is cut off', basic('EXAMPLE\\ada', 'correct'), 401],
    ['no password', basic('EXAMPLE\\ada', ''), 401],
    ['an unknown name', basic('EXAMPLE\\bob', 'correct: horse'), 401],
    ['the password of another', basic('EXAMPLE\\ada', 'påss'), 401],
    ['no name', basic('', ''), 401],
    ['no colon', `Basic ${Buffer.from('EXAMPLE\\ada').toString('base64')}`, 401],
    ['no base64', 'Basic ???', 401],
    ['more than anybody types', `Basic ${'A'.repeat(5000)}`, 401],
    ['another scheme', 'Bearer token', 401],
  ]
  const refusals = new Set<string>()
  for (const [name, authorization, status] of rows) {
    const response = await visit(it, authorization)
    t.equal(response.status, status, name)
    if (status === 401) refusals.add(JSON.stringify([response.headers, [...response.body]]))
  }
  t.equal(refusals.size, 1, 'every refusal is the same')
  t.match([...refusals][0], /www-authenticate.*Basic realm=/)
  t.equal((await visit(await startLab(), ada)).status, 401, 'without accounts nobody')
})

t.test('ndes.password.bytes, ndes.password.hex, ndes.thumbprint: the page, as clients take it apart', async (t) => {
  const it = await start()
  const { status, headers, body } = await visit(it, ada)
  t.equal(status, 200)
  t.equal(headers['content-type'], 'text/html')
  t.equal(headers['cache-control'], 'no-store')
  t.same([...body.subarray(0, 2)], [0xff, 0xfe], 'a byte order mark')
  const page = new TextDecoder('utf-16').decode(body)
  const [, found = ''] = /(?:The enrollment challenge password is: <B> )(\S*)/i.exec(page) ?? []
  t.match(found, /^[0-9A-F]{16}$/)
  t.match(found, new RegExp(ndesFacts.passwordHex.value))
  t.equal(
    page.split(/\s+/).find((word) => /^[A-F0-9]{16}/.test(word)),
    found,
    'the first word that looks like a password is it',
  )
  t.match(page, /is: <B> [0-9A-F]{8} [0-9A-F]{8} [0-9A-F]{8} [0-9A-F]{8} <\/B>/, 'the thumbprint of the CA')
  t.match(page, ` ${found} </B> <P> This password can be used only once and will expire within 60 minutes`)
  t.match(await pageOf(it, basic('reader@example', 'påss')), 'You do not have sufficient permission to enroll with SCEP.')
  t.notMatch(await pageOf(it, basic('reader@example', 'påss')), 'challenge password is')
})

t.test('ndes.admin-path: the folder redirects, once one is signed in', async (t) => {
  const it = await start()
  t.equal((await visit(it, undefined, '/certsrv/mscep_admin')).status, 401)
  const response = await visit(it, ada, '/CertSrv/mscep_admin')
  t.equal(response.status, 301)
  t.equal(response.headers.location, adminUrl)
  t.equal((await visit(it, ada, '/certsrv/mscep_admin/mscep.dll')).status, 200)
  t.equal((await it.lab.handle({ method: 'POST', url: adminUrl, headers: { authorization: ada } })).status, 405)
})

t.test('a password lets one request through, within the template', async (t) => {
  const it = await start()
  const [first, second, third] = [await password(it), await password(it), await password(it)]
  const key = await testKey('a')
  const certificate = await enrolled(it.lab, { key, challenge: first, subject: 'CN=router', subjectAltNames: [] })
  t.same(
    Buffer.from(await enrolled(it.lab, { key, challenge: first, subject: 'CN=router', subjectAltNames: [] })),
    Buffer.from(certificate),
    'the transaction is sent again',
  )
  t.equal(await enroll(it.lab, { key: await testKey('b'), challenge: first }), 'badRequest', 'it is used up')
  t.equal(await enroll(it.lab, { key: await testKey('b'), challenge: second.toLowerCase() }), 'badRequest', 'in lower case')
  t.equal(await enroll(it.lab, { key: await testKey('b'), challenge: second.slice(1) }), 'badRequest', 'cut off')
  t.equal(await enroll(it.lab, { key: await testKey('b'), challenge: second, keyUsages: ['keyCertSign'] }), 'badRequest', 'no such usage')
  t.ok(await enrolled(it.lab, { key: await testKey('b'), challenge: second }), 'a refusal does not use it up')
  t.ok(await enrolled(it.lab, { key: await testKey('c'), challenge: third }))
  t.equal([...it.lab.issued()].length, 3)
})

t.test('of 100 parallel requests with one password, one wins', async (t) => {
  const it = await start()
  const challenge = await password(it)
  const keys = await Promise.all(['a', 'b', 'c', 'd'].map(testKey))
  const asked = Array.from({ length: 100 }, (_, i) => ({ key: keys[i % 4] as (typeof keys)[number], transactionId: `T${i}` }))
  const messages = await Promise.all(
    asked.map(async (of) => messageFor(it.lab, { ...of, content: await csrFor({ key: of.key, challenge }) })),
  )
  const replies = await Promise.all(messages.map(async ({ message, read }) => read((await sendMessage(it.lab, message)).body)))
  t.equal(replies.filter(({ status }) => status === 'success').length, 1)
  t.equal([...it.lab.issued()].length, 1)
})

t.test('100 parallel requests of one transaction get one certificate', async (t) => {
  const it = await start()
  const key = await testKey('a')
  const { message, read } = await messageFor(it.lab, { key, content: await csrFor({ key, challenge: await password(it) }) })
  const replies = await Promise.all(Array.from({ length: 100 }, async () => read((await sendMessage(it.lab, message)).body)))
  t.ok(replies.every(({ status }) => status === 'success'))
  t.equal([...it.lab.issued()].length, 1)
})

t.test('a pending request keeps its password, in parallel too', async (t) => {
  let approval: 'pending' | 'issue' = 'pending'
  const it = await start({}, { approve: () => approval })
  const challenge = await password(it)
  const key = await testKey('a')
  t.same(await Promise.all([1, 2, 3].map(() => enroll(it.lab, { key, challenge }))), ['pending', 'pending', 'pending'])
  t.equal(await enroll(it.lab, { key: await testKey('b'), challenge }), 'badRequest')
  approval = 'issue'
  t.ok((await enroll(it.lab, { key, challenge })) instanceof Uint8Array)
})

t.test('ndes.password.cache: five passwords may be open', async (t) => {
  const it = await start()
  const open = [await password(it), await password(it), await password(it), await password(it), await password(it)]
  t.equal(new Set(open).size, 5)
  const page = await pageOf(it)
  t.match(page, 'The password cache is full.')
  t.notMatch(page, 'challenge password is')
  t.match(it.lab.audit().at(-1), { event: 'challenge-refused' })
  await enrolled(it.lab, { key: await testKey('a'), challenge: open[0] })
  t.ok(await password(it), 'one was used')
  t.match(await pageOf(it), 'The password cache is full.')
  await it.clock.advance(60 * minute)
  t.ok(await password(it), 'all have expired')
})

t.test('the cache is never overfull, however many ask at once', async (t) => {
  const it = await start()
  const pages = await Promise.all(Array.from({ length: 100 }, () => pageOf(it)))
  t.equal(pages.filter((page) => passwordIn(page) !== undefined).length, 5)
})

t.test('ndes.password.minutes: a password is good for 60 minutes', async (t) => {
  const it = await start()
  const [early, late] = [await password(it), await password(it)]
  await it.clock.advance(60 * minute - 1)
  t.ok(await enrolled(it.lab, { key: await testKey('a'), challenge: early }))
  await it.clock.advance(1)
  t.equal(await enroll(it.lab, { key: await testKey('b'), challenge: late }), 'badRequest')
})

t.test('the registry decides about passwords after a restart of IIS', async (t) => {
  const it = await startLab({ ndes: { administrators } })
  await it.lab.ndes.setRegistry({ PasswordLength: 12, PasswordMax: 1, PasswordValidity: 5 })
  t.equal((await password(it)).length, 16, 'not before')
  t.match(it.lab.ndes.registry(), { PasswordLength: 12, PasswordMax: 1, UseSinglePassword: 0 })
  const before = await password(it)
  await it.lab.ndes.restartIis()
  t.equal(await enroll(it.lab, { key: await testKey('a'), challenge: before }), 'badRequest', 'NDES has forgotten its passwords')
  t.match(await pageOf(it), /<B> [0-9A-F]{24} <\/B> <P> This password can be used only once and will expire within 5 minutes/)
  t.match(await pageOf(it), 'The password cache is full.')
  await it.clock.advance(5 * minute)
  t.ok(await password(it))
})

t.test('ndes.password.single-bytes: single password mode', async (t) => {
  const it = await start({ UseSinglePassword: 1 })
  const challenge = await password(it)
  t.match(challenge, /^[0-9A-F]{32}$/)
  for (let visits = 0; visits < 10; visits++) t.equal(await password(it), challenge)
  t.match(await pageOf(it), ` ${challenge} </B> <P> This password can be used multiple times and will not expire.`)
  t.ok(await enrolled(it.lab, { key: await testKey('a'), challenge }))
  t.ok(await enrolled(it.lab, { key: await testKey('b'), challenge }))
  await it.clock.advance(700 * 24 * 60 * minute)
  t.equal(await password(it), challenge)
  t.equal(await enroll(it.lab, { key: await testKey('c'), challenge: challenge.toLowerCase() }), 'badRequest')
  await it.lab.ndes.setRegistry({ UseSinglePassword: 0 })
  await it.lab.ndes.restartIis()
  t.equal(await enroll(it.lab, { key: await testKey('d'), challenge }), 'badRequest', 'switched off')
})

t.test('passwords and the registry outlive the lab', async (t) => {
  const folder = t.testdir({})
  const store = await lmdbLabStore(folder)
  const before = await start({ PasswordMax: 2 }, { store })
  const challenge = await password(before)
  await store.close()
  const reopened = await lmdbLabStore(folder)
  t.teardown(() => reopened.close())
  const after = await startLab({ store: reopened, ndes: { administrators } })
  t.ok(await password(after))
  t.match(await pageOf(after), 'The password cache is full.', 'both are remembered')
  t.ok(await enrolled(after.lab, { key: await testKey('a'), challenge }))
  t.equal(await enroll(after.lab, { key: await testKey('b'), challenge }), 'badRequest')
})

t.test('no password of either kind is in the audit or in a record', async (t) => {
  for (const registry of [{}, { UseSinglePassword: 1 }] as const) {
    const it = await start(registry)
    const challenge = await password(it)
    await enroll(it.lab, { key: await testKey('a'), challenge, keyUsages: ['cRLSign'] })
    await enrolled(it.lab, { key: await testKey('a'), challenge })
    const tables = ['audit', 'issued', 'transactions', 'ndesPasswords', 'ndesRegistry', 'challenges'] as const
    const records = JSON.stringify([it.lab.audit(), it.lab.ndes, tables.map((table) => [...it.store.list(table)])])
    for (const secret of [challenge, challenge.toLowerCase(), 'horse', ada.slice('Basic '.length)]) t.notMatch(records, secret)
  }
})

t.test('over a socket', async (t: Test) => {
  const it = await start()
  const served = await serveLab(it.lab)
  t.teardown(() => served.close())
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const { statusCode, headers: answered, body } = await request(`${served.url}${path}`, { headers })
    return { statusCode, answered, page: Buffer.from(await body.arrayBuffer()).toString('utf16le') }
  }
  const unknown = await get(adminUrl)
  t.equal(unknown.statusCode, 401)
  t.match(unknown.answered['www-authenticate'], /^Basic /)
  const redirect = await get('/certsrv/mscep_admin', { authorization: ada })
  t.equal(redirect.statusCode, 301)
  const { statusCode, page } = await get(String(redirect.answered.location), { authorization: ada })
  t.equal(statusCode, 200)
  t.ok(await enrolled(it.lab, { key: await testKey('a'), challenge: passwordIn(page), subject: wifi.subject }))
})
