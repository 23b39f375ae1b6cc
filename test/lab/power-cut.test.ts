import { execFileSync } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Lab, type LabStore, lmdbLabStore, memoryLabStore } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { testKey } from '../fakes/certificates.ts'
import { connectClients, type Enrolled, prepareLab } from './kill-clients.ts'
import { cheapKeys } from './kill-keys.ts'
import { startLabProcess } from './kill-process.ts'
import { forgetfulDisk, readTrace, type TraceEvent, type Unsynced } from './power-cut-trace.ts'
import { challengeFor, csrFor, messageFor, post, register, sendMessage, startLab } from './surroundings.ts'

/** A store whose transactions wait, before they take effect, until somebody lets them. */
function heldStore(store: LabStore) {
  const held: (() => void)[] = []
  let isOpen = true
  const delayed: LabStore = {
    ...store,
    async transaction(work) {
      if (!isOpen) await new Promise<void>((go) => held.push(go))
      return store.transaction(work)
    },
  }
  return {
    store: delayed,
    hold: () => {
      isOpen = false
    },
    /** Lets what waits go on, one after the other, until nothing waits. */
    async release() {
      isOpen = true
      while (held.length > 0) held.shift()?.()
    },
    waiting: () => held.length,
  }
}

t.test('no answer leaves before its transaction is durable', async (t) => {
  const key = await testKey('a')
  const ask = async (lab: Lab, challenge: string | undefined) =>
    (await messageFor(lab, { key, content: await csrFor({ key, ...(challenge !== undefined && { challenge }) }) })).message
  const rows: [string, (lab: Lab, credential: string) => Promise<() => Promise<unknown>>][] = [
    ['a registration', async (lab) => () => register(lab, 'device-2')],
    [
      'a registration that is refused',
      async (lab) => () => post(lab, '/device/register', { registrationToken: 'guess', deviceId: 'x', platform: 'x', osVersion: 'x' }),
    ],
    ['a challenge', async (lab, credential) => () => challengeFor(lab, credential, 'fresh')],
    ['a report', async (lab, credential) => () => post(lab, '/device/report', reportOf(), credential)],
    [
      'a certificate',
      async (lab, credential) => {
        const message = await ask(lab, await challengeFor(lab, credential, 'attempt'))
        return () => sendMessage(lab, message)
      },
    ],
    [
      'a request that is refused',
      async (lab) => {
        const message = await ask(lab, 'guess')
        return () => sendMessage(lab, message)
      },
    ],
  ]
  for (const [name, prepare] of rows) {
    const { store, hold, release, waiting } = heldStore(memoryLabStore())
    const { lab } = await startLab({ store })
    const request = await prepare(lab, await register(lab))
    hold()
    let isAnswered = false
    const answer = request().then(() => {
      isAnswered = true
    })
    while (waiting() === 0 && !isAnswered) await new Promise(setImmediate)
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
    t.equal(waiting(), 1, `${name}: its transaction waits`)
    t.equal(isAnswered, false, `${name}: and so does its answer`)
    await release()
    await answer
  }
})

const reportOf = () => ({ revision: 1, at: 0, platform: 'windows', results: [], roots: [], profiles: [] })

class PowerCut extends Error {}

/** From the nth transaction on there is no power: that one has reached the disk, or has not, and nobody hears of it either way. */
function cutAt(disk: LabStore, left: number, reached: boolean): LabStore {
  let isDead = false
  const alive = () => {
    if (isDead) throw new PowerCut('no power')
  }
  return {
    ...disk,
    get(table, key) {
      alive()
      return disk.get(table, key)
    },
    list(table) {
      alive()
      return disk.list(table)
    },
    async transaction(work) {
      alive()
      if (left-- > 0) return disk.transaction(work)
      if (reached) await disk.transaction(work)
      isDead = true
      throw new PowerCut('no power')
    },
  }
}

t.test('the power is cut at every transaction of three enrolments at once, before or after it reached the disk', async (t) => {
  const keys = await Promise.all((['a', 'b', 'c'] as const).map(testKey))
  for (const reached of [false, true]) {
    for (let at = 0, wasCut = true; wasCut; at++) {
      const disk = memoryLabStore()
      const credential = await register((await startLab({ store: disk })).lab)
      const lab = await startLab({ store: cutAt(disk, at, reached) }).then((made) => made.lab, unlessBug)
      const enrolOnce = async (lab: Lab, index: number) => {
        const key = keys[index] as (typeof keys)[number]
        const { message, read } = await messageFor(lab, {
          key,
          content: await csrFor({ key, challenge: await challengeFor(lab, credential, `attempt-${index}`) }),
        })
        const reply = await read((await sendMessage(lab, message)).body)
        return reply.status === 'success' ? Buffer.from(reply.certificates[0] as Uint8Array).toString('hex') : reply.status
      }
      const tries = await Promise.all(keys.map((_, index) => lab && enrolOnce(lab, index).catch(unlessBug)))
      wasCut = tries.includes(undefined)
      const { lab: next } = await startLab({ store: disk })
      const ends = await Promise.all(keys.map((_, index) => enrolOnce(next, index)))
      const issued = [...disk.list('issued')].map(({ certificate }) => Buffer.from(certificate).toString('hex'))
      const name = `cut at ${at}, ${reached ? 'after' : 'before'}`
      t.same([...issued].sort(), [...ends].sort(), `${name}: one certificate each`)
      t.ok(
        tries.every((early, index) => early === undefined || early === ends[index]),
        `${name}: who had one has the same`,
      )
      t.equal(new Set([...disk.list('challenges')].map(({ transactionId }) => transactionId)).size, 3, `${name}: a challenge each`)
      t.equal([...disk.list('challenges')].length, 3, name)
      if (!wasCut) t.ok(at >= 6, `${at} transactions: each enrolment has two, its challenge and its certificate`)
    }
  }
})

function unlessBug(error: unknown): undefined {
  if (!(error instanceof PowerCut)) throw error
}

function canTrace(): boolean {
  try {
    execFileSync('strace', ['-qq', '-o', '/dev/null', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

async function recordsOn(t: Test, top: string, image: Buffer, name: string) {
  const folder = join(top, name)
  await mkdir(folder)
  await writeFile(join(folder, 'lab.mdb'), image)
  const store = await lmdbLabStore(folder)
  try {
    const issued = new Map([...store.list('issued')].map((record) => [record.serialNumber, record]))
    const transactions = [...store.list('transactions')]
    t.ok(
      transactions.every(({ serialNumber }) => serialNumber === undefined || issued.has(serialNumber)),
      `${name}: nothing dangles`,
    )
    return { issued, challenges: [...store.list('challenges')].length }
  } finally {
    await store.close()
  }
}

const count = 24

t.test(
  "lmdb's own writes, replayed to a disk that forgets what was not synced",
  { skip: canTrace() ? false : 'strace cannot run here' },
  async (t) => {
    const top = t.testdir()
    const prepared = await prepareLab(join(top, 'prepared'), count)
    const folder = join(top, 'traced')
    await prepared.copyTo(folder)
    const before = await readFile(join(folder, 'lab.mdb'))
    const calls = 'trace=openat,lseek,pwrite64,pwritev,write,writev,fdatasync,fsync,msync,ftruncate,sendto,sendmsg'
    const strace = ['strace', '-f', '-qq', '-o', join(top, 'trace'), '-y', '-xx', '-s', '2000000', '-e', calls]
    const lab = await startLabProcess({ folder }, 'kill-lab', strace)
    t.teardown(() => lab.stop().catch(() => {}))
    const keys = await cheapKeys(count)
    const clients = connectClients(prepared, keys, { url: () => lab.url, after: () => Promise.reject(new Error('nobody else serves')) })
    t.teardown(() => clients.close())
    const received = await Promise.all(keys.map((_, index) => clients.enroll(index)))
    await lab.stop()
    const events = readTrace(await readFile(join(top, 'trace'), 'latin1'), join(folder, 'lab.mdb'))

    for (const unsynced of ['dropped', 'every-second-kept'] as const) {
      const { missing, answers } = await cutAtEachAnswer(t, top, before, events, received, unsynced)
      t.equal(answers, count, `${unsynced}: every answer was seen in the trace`)
      t.same(missing, [], `${unsynced}: what had been answered when the power went is on the disk`)
    }
    const deaf = events
      .filter(({ kind }) => kind !== 'sync')
      .map((event) => (event.kind === 'write' ? { ...event, isSynchronous: false } : event))
    const { missing } = await cutAtEachAnswer(t, top, before, deaf, received, 'dropped', 'deaf-')
    t.equal(missing.length, (count * (count + 1)) / 2, 'on a disk whose syncs are ignored everything is missing: the judge sees it')
    const syncs = events.filter(({ kind }) => kind === 'sync').length
    const writes = events.filter(({ kind }) => kind === 'write').length
    t.comment(`${count} enrolments: ${writes} writes and ${syncs} syncs of the database; cut at each of ${count} answers`)
  },
)

/** Cuts the power as each certificate's answer begins to leave; names each certificate answered by then that the disk does not have. */
async function cutAtEachAnswer(
  t: Test,
  top: string,
  before: Buffer,
  events: readonly TraceEvent[],
  received: readonly Enrolled[],
  unsynced: Unsynced,
  prefix = '',
) {
  const disk = forgetfulDisk(before)
  const answered: Enrolled[] = []
  const missing: string[] = []
  for (const event of events) {
    disk.apply(event)
    if (event.kind !== 'answer' || !event.data.includes('application/x-pki-message')) continue
    const whose = received.find(({ transactionId }) => event.data.includes(transactionId))
    if (whose) answered.push(whose)
    const { issued } = await recordsOn(t, top, disk.afterCut(unsynced), `${prefix}${unsynced}-${answered.length}`)
    for (const { serialNumber, fingerprint, attemptId } of answered)
      if (issued.get(serialNumber)?.fingerprint !== fingerprint) missing.push(`${attemptId} at answer ${answered.length}`)
  }
  return { missing, answers: answered.length }
}
