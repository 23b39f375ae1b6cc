import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { buildSignedData, CmsOid, type CmsSigner, openSignedData } from '@certfleet/agent-core/cms'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { buildRequestSigner } from '@certfleet/agent-core/scep/messages'
import t, { type Test } from 'tap'
import { request } from 'undici'
import { testKey } from '../fakes/certificates.ts'
import { connectClients, type Prepared, prepareLab } from './kill-clients.ts'
import { cheapKeys } from './kill-keys.ts'
import { type LabProcess, startLabProcess } from './kill-process.ts'
import { challengeFor, csrFor, messageFor, post, register, scepUrl, sendMessage, start, startLab, wifi } from './surroundings.ts'

const mib = 1024 * 1024

/** The lab in a process of its own: its memory is not the flood's. */
async function labProcess(t: Test): Promise<{ lab: LabProcess; prepared: Prepared; folder: string }> {
  const folder = join(t.testdir(), 'lab')
  const prepared = await prepareLab(folder, 4)
  const lab = await startLabProcess({ folder })
  t.teardown(() => lab.stop().catch(() => {}))
  return { lab, prepared, folder }
}

/** Resident memory now, and the most there was since the process began (proc(5): VmRSS, VmHWM), in MiB. */
function memoryOf(pid: number, which: 'VmRSS' | 'VmHWM'): number {
  const text = readFileSync(`/proc/${pid}/status`, 'latin1')
  return Number(new RegExp(`${which}:\\s+(\\d+) kB`).exec(text)?.[1]) / 1024
}

async function opened(t: Test, lab: LabProcess, count: number, words: (index: number) => string): Promise<readonly Socket[]> {
  const sockets = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const socket = connect(Number(new URL(lab.url).port), '127.0.0.1')
      socket.on('error', () => {})
      await new Promise((resolve) => socket.once('connect', resolve))
      socket.write(words(index))
      return socket
    }),
  )
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
  })
  return sockets
}

const capabilitiesOf = async (lab: LabProcess) => {
  const response = await request(`${lab.url}/scep?operation=GetCACaps`, { headersTimeout: 10_000 })
  await response.body.dump()
  return response.statusCode
}

async function stillEnrols(t: Test, lab: LabProcess, prepared: Prepared): Promise<void> {
  const clients = connectClients(prepared, await cheapKeys(3), {
    url: () => lab.url,
    after: () => Promise.reject(new Error('the lab is gone')),
  })
  t.teardown(() => clients.close())
  t.equal((await Promise.all([0, 1, 2].map((index) => clients.enroll(index)))).length, 3, 'and enrols as before')
}

const linux = process.platform === 'linux' ? false : 'memory is read from /proc'

t.test('2,000 connections that never finish their request, and slow senders', { skip: linux }, async (t) => {
  const { lab, prepared } = await labProcess(t)
  await capabilitiesOf(lab)
  const before = memoryOf(lab.pid, 'VmRSS')
  await opened(t, lab, 1_000, () => 'GET /scep?operation=GetCACaps HTTP/1.1\r\nhost: lab\r\nx: ')
  const post = 'POST /scep?operation=PKIOperation HTTP/1.1\r\nhost: lab\r\ncontent-length: 20000\r\n\r\n'
  await opened(t, lab, 1_000, () => post + 'x'.repeat(10_000))
  t.equal(await capabilitiesOf(lab), 200, 'it answers meanwhile')
  const grown = memoryOf(lab.pid, 'VmHWM') - before
  t.comment(`2,000 open requests: at most ${grown.toFixed(0)} MiB more than the ${before.toFixed(0)} MiB before (VmHWM - VmRSS)`)
  t.ok(grown < 200, `${grown.toFixed(0)} MiB`)
  await stillEnrols(t, lab, prepared)

  const dribblers = await opened(t, lab, 20, () => 'GET /scep HTTP/1.1\r\nx: ')
  const cut = dribblers.map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())))
  for (const socket of dribblers) socket.resume()
  let isOver = false
  const all = Promise.all(cut).then(() => {
    isOver = true
  })
  const began = process.hrtime.bigint()
  for (let second = 0; second < 40 && !isOver; second++) {
    for (const socket of dribblers) if (!socket.destroyed) socket.write('x')
    await Promise.race([all, delay(1_000)])
  }
  const seconds = Number(process.hrtime.bigint() - began) / 1e9
  t.ok(isOver, `an octet of header a second: cut after ${seconds.toFixed(0)} s`)
})

t.test('bodies in chunks of one octet, and requests that run ahead of their answers', { skip: linux }, async (t) => {
  const { lab, prepared } = await labProcess(t)
  await capabilitiesOf(lab)
  const before = memoryOf(lab.pid, 'VmRSS')
  const chunked = 'POST /scep?operation=PKIOperation HTTP/1.1\r\nhost: lab\r\ntransfer-encoding: chunked\r\n\r\n'
  const bodies = await opened(t, lab, 20, () => chunked + '1\r\nx\r\n'.repeat(30_000))
  const ahead = await opened(t, lab, 20, () => 'GET /device/policy HTTP/1.1\r\nhost: lab\r\n\r\n'.repeat(5_000))
  await Promise.all([...bodies, ...ahead].map((socket) => new Promise((resolve) => socket.write('', resolve))))
  t.equal(await capabilitiesOf(lab), 200, 'it answers meanwhile')
  await stillEnrols(t, lab, prepared)
  const grown = memoryOf(lab.pid, 'VmHWM') - before
  t.comment(`600,000 chunks and 100,000 requests: at most ${grown.toFixed(0)} MiB more than the ${before.toFixed(0)} MiB before`)
  t.ok(grown < 300, `${grown.toFixed(0)} MiB`)
})

t.test('malformed and oversized bodies, many at once', { skip: linux }, async (t) => {
  const { lab, prepared } = await labProcess(t)
  await capabilitiesOf(lab)
  const before = memoryOf(lab.pid, 'VmRSS')
  const noise = randomBytes(mib)
  const paths = [
    '/scep?operation=PKIOperation',
    '/device/register',
    '/device/challenge',
    '/device/report',
    '/ocsp',
    '/certsrv/mscep_admin/',
    '/no/such/path',
  ]
  const bodies = [
    noise,
    noise.subarray(0, 1),
    Buffer.from('{'.repeat(100_000)),
    Buffer.alloc(mib, 0x30),
    Buffer.alloc(mib + 1),
    Buffer.alloc(4 * mib),
  ]
  const seen = new Map<number, number>()
  const ask = async (path: string, body: Uint8Array) => {
    const response = await request(`${lab.url}${path}`, { method: 'POST', body }).catch((error: NodeJS.ErrnoException) => error)
    // The lab hangs up on who goes on sending; whether the sender reads the answer first is a race.
    if (response instanceof Error)
      return void t.ok(body.length > mib && /EPIPE|ECONNRESET|UND_ERR_SOCKET/.test(response.code ?? ''), `${path}: ${response.code}`)
    await response.body.dump()
    seen.set(response.statusCode, (seen.get(response.statusCode) ?? 0) + 1)
    if (body.length > mib) t.equal(response.statusCode, 413, `${path}, ${body.length} octets`)
    else t.ok((response.statusCode >= 400 && response.statusCode < 500) || path === '/ocsp', `${path}: ${response.statusCode}`)
  }
  for (let wave = 0; wave < 3; wave++) await Promise.all(paths.flatMap((path) => bodies.map((body) => ask(path, body))))
  const grown = memoryOf(lab.pid, 'VmHWM') - before
  t.comment(`${[...seen].map(([status, count]) => `${count} times ${status}`).join(', ')}; ${grown.toFixed(0)} MiB more at most`)
  t.ok(grown < 300, `${grown.toFixed(0)} MiB`)
  t.equal(seen.get(500), undefined, 'nothing of it is a bug')
  t.equal(await capabilitiesOf(lab), 200, 'it answers afterwards')
  await stillEnrols(t, lab, prepared)
})

/** The message with its envelope changed, signed again, so that only what is inside is wrong. */
async function withContent(message: Uint8Array, signer: CmsSigner, change: (content: Buffer) => Uint8Array): Promise<Uint8Array> {
  const { content, attributes, hash, certificates } = openSignedData(message, { signers: [signer.certificate] })
  const kept = [...attributes].filter(([oid]) => oid !== CmsOid.ContentType && oid !== CmsOid.MessageDigest)
  return buildSignedData({
    content: change(Buffer.from(content ?? [])),
    signer,
    hash,
    attributes: kept.map(([oid, [value]]) => ({ oid, value: value?.raw ?? new Uint8Array() })),
    certificates,
  })
}

const flipped = (at: (length: number) => number) => (content: Buffer) => {
  const index = at(content.length)
  content[index] = (content[index] as number) ^ 0x55
  return content
}

t.test('one failure shape for every cryptographic cause: status, length and failInfo', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret' })
  const key = await testKey('a')
  const signer = await buildRequestSigner({ subject: wifi.subject, key, hash: 'sha256', at: start })
  const { message, read } = await messageFor(lab, { key, signer, content: await csrFor({ key, challenge: 'secret' }) })
  const made = (options: object) => messageFor(lab, { key, signer, content: Buffer.from('no request'), ...options })
  const stranger = await testKey('b')
  const strangeSigner = { certificate: signer.certificate, key: stranger }
  const rows: [string, Uint8Array | Awaited<ReturnType<typeof made>>][] = [
    ['a signature with one octet wrong', flipped((length) => length - 1)(Buffer.from(message))],
    ["a signature by another key than the certificate's", await withContentBy(message, signer, strangeSigner)],
    ['an envelope to another certificate', await made({ recipient: parseCertificate(lab.issuingCertificate) })],
    [
      'bad padding',
      await withContent(
        message,
        signer,
        flipped((length) => length - 17),
      ),
    ],
    [
      'the last block wrong',
      await withContent(
        message,
        signer,
        flipped((length) => length - 1),
      ),
    ],
    [
      'an early block wrong',
      await withContent(
        message,
        signer,
        flipped((length) => length - 600),
      ),
    ],
    ['another content key', await withContent(message, signer, (content) => flipped(() => encryptedKeyAt(content))(content))],
    ['an envelope cut off', await withContent(message, signer, (content) => content.subarray(0, content.length / 2))],
    ['noise for an envelope', await withContent(message, signer, () => randomBytes(900))],
    ['noise within the envelope', await made({})],
    ['nothing within the envelope', await made({ content: new Uint8Array(1) })],
  ]
  const shapes = new Map<string, string[]>()
  for (const [name, asked] of rows) {
    const own = 'read' in asked ? asked : { message: asked, read }
    const { status, headers, body } = await sendMessage(lab, own.message)
    const reply = await own.read(body).catch((error: Error) => error.message)
    const shape = JSON.stringify({ status, headers, length: body.length, reply })
    shapes.set(shape, [...(shapes.get(shape) ?? []), name])
  }
  t.equal(shapes.size, 1, [...shapes].map(([shape, names]) => `${shape}: ${names.join(', ')}`).join('\n'))
  t.match([...shapes.keys()][0], /"status":200.*badMessageCheck/)
  t.same([...lab.issued()], [])
})

/** Somewhere inside the one recipient's encrypted key: 256 octets behind their header. */
const encryptedKeyAt = (content: Buffer) => content.indexOf(Buffer.from([0x04, 0x82, 0x01, 0x00])) + 100

async function withContentBy(message: Uint8Array, right: CmsSigner, wrong: CmsSigner): Promise<Uint8Array> {
  const { content, attributes, hash, certificates } = openSignedData(message, { signers: [right.certificate] })
  const kept = [...attributes].filter(([oid]) => oid !== CmsOid.ContentType && oid !== CmsOid.MessageDigest)
  return buildSignedData({
    content,
    signer: wrong,
    hash,
    attributes: kept.map(([oid, [value]]) => ({ oid, value: value?.raw ?? new Uint8Array() })),
    certificates,
  })
}

t.test('one failure shape for every challenge and every credential that is not good', async (t) => {
  const { lab } = await startLab()
  const { lab: other } = await startLab()
  const credential = await register(lab)
  const good = await challengeFor(lab, credential)
  const foreign = await challengeFor(other, await register(other), 'elsewhere')
  const key = await testKey('a')
  const changed = (at: number) => good.slice(0, at) + (good[at] === 'A' ? 'B' : 'A') + good.slice(at + 1)
  const challenges = [changed(5), changed(good.length - 10), good.slice(0, 40), 'guess', foreign.toUpperCase(), 'x'.repeat(2_000)]
  const shapes = new Set<string>()
  for (const challenge of challenges) {
    const { message, read } = await messageFor(lab, { key, content: await csrFor({ key, challenge }) })
    const { status, headers, body } = await sendMessage(lab, message)
    shapes.add(JSON.stringify({ status, headers, length: body.length, reply: await read(body) }))
  }
  t.equal(shapes.size, 1, [...shapes].join('\n'))
  t.match([...shapes][0], /badRequest/)

  const credentials = [undefined, '', 'guess', credential.slice(1), `${credential}A`, credential.toLowerCase(), 'x'.repeat(4_000), '\u0000']
  const paths = ['/device/challenge', '/device/report']
  const refused = await Promise.all(
    paths.flatMap((path) => credentials.map((wrong) => post(lab, path, { profileId: 'wifi', attemptId: 'a' }, wrong))),
  )
  const answers = new Set(refused.map(({ status, headers, body }) => JSON.stringify({ status, headers, length: body.length })))
  t.same([...answers], [JSON.stringify({ status: 401, headers: { 'www-authenticate': 'Bearer' }, length: 0 })])
  t.equal((await lab.handle({ method: 'GET', url: `${scepUrl}?operation=GetCACaps`, headers: {} })).status, 200)
})
