import { join } from 'node:path'
import { seededJitter } from '@certfleet/agent-core/system'
import t, { type Test } from 'tap'
import { connectClients, issuedIn, type Prepared, prepareLab, problemsIn } from './kill-clients.ts'
import { cheapKeys } from './kill-keys.ts'
import { type Issues, type LabProcess, startLabProcess } from './kill-process.ts'

type Keys = Awaited<ReturnType<typeof cheapKeys>>

const enrolments = 200
const rounds = Number(process.env.CERTFLEET_KILLS ?? 2)
const seed = process.env.CERTFLEET_KILL_SEED ?? String(process.pid)

async function start(t: Test, folder: string, killAt?: number): Promise<LabProcess> {
  const lab = await startLabProcess({ folder, ...(killAt !== undefined && { killAt }) })
  t.teardown(() => lab.stop().catch(() => {}))
  return lab
}

const never = () => Promise.reject(new Error('nobody else serves'))

/** Between which steps of the store certificates are issued, when nothing is killed. */
async function rehearse(t: Test, folder: string, prepared: Prepared, keys: Keys): Promise<Issues> {
  await prepared.copyTo(folder)
  const lab = await start(t, folder)
  const clients = connectClients(prepared, keys, { url: () => lab.url, after: never })
  t.teardown(() => clients.close())
  const received = await Promise.all(keys.map((_, index) => clients.enroll(index)))
  const issues = await lab.issues()
  await lab.stop()
  t.same(await problemsIn(folder, received, enrolments), [], 'without a kill')
  return issues
}

interface Kill {
  /** Certificates on record when it fell. */
  readonly issued: number
  readonly call: string
}

async function killOnce(t: Test, folder: string, killAt: number, prepared: Prepared, keys: Keys, at: string): Promise<Kill> {
  const lab = await start(t, folder, killAt)
  let fell: Kill | undefined
  const restarted = lab.ended.then(async (call) => {
    fell = { issued: await issuedIn(folder), call: call ?? 'never' }
    return start(t, folder)
  })
  const url = () => (fell ? '' : lab.url)
  const clients = connectClients(prepared, keys, { url, after: async (old) => (old === lab.url ? (await restarted).url : never()) })
  t.teardown(() => clients.close())
  const early: number[] = []
  const one = async (index: number) => {
    const enrolled = await clients.enroll(index)
    if (fell === undefined) early.push(index)
    return enrolled
  }
  const received = await Promise.all(keys.map((_, index) => one(index)))
  if (fell === undefined) await lab.stop()
  const next = await restarted
  const later = connectClients(prepared, keys, { url: () => next.url, after: never })
  t.teardown(() => later.close())
  const asked = early.slice(-20)
  const again = await Promise.all(asked.map((index) => later.enroll(index)))
  await next.stop()
  t.same(
    again,
    asked.map((index) => received[index]),
    `${at}: ${asked.length} of ${early.length} that had a certificate ask again and get the same`,
  )
  t.same(await problemsIn(folder, received, enrolments), [], `${at}: ${fell?.issued} of ${enrolments} were issued, at ${fell?.call}`)
  return fell as Kill
}

/** No two runs go alike: what was the first certificate's step in the rehearsal may come before it in another. */
const marginOf = ({ first, last }: { first: number; last: number }) => (last - first) / 6

t.setTimeout(60_000 + rounds * 30_000)
t.test(
  `the lab is killed during ${enrolments} concurrent enrolments, and started again`,
  { timeout: 60_000 + rounds * 30_000 },
  async (t) => {
    const keys = await cheapKeys(enrolments)
    const top = t.testdir()
    const prepared = await prepareLab(join(top, 'prepared'), enrolments)
    const steps = await rehearse(t, join(top, 'rehearsal'), prepared, keys)
    const { between } = seededJitter(`kill ${seed}`)
    const fell: Kill[] = []
    for (let round = 0; round < rounds; round++) {
      const folder = join(top, `round-${round}`)
      await prepared.copyTo(folder)
      const killAt = Math.round(between(steps.first + marginOf(steps), steps.last - marginOf(steps)))
      fell.push(await killOnce(t, folder, killAt, prepared, keys, `seed ${seed}, round ${round}, step ${killAt} of ${steps.last}`))
    }
    const issued = fell.map((kill) => kill.issued).sort((a, b) => a - b)
    t.comment(`seed ${seed}; certificates of ${enrolments} on record when the kill fell: ${issued.join(' ')}`)
    t.comment(`where it fell: ${fell.map(({ call }) => call).join('; ')}`)
    const within = issued.filter((count) => count > 0 && count < enrolments).length
    t.ok(within >= Math.floor(0.8 * rounds), `${within} of ${rounds} kills between the first and the last certificate`)
  },
)
