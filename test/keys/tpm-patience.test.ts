import { AgentError, type AgentErrorCode } from '@certfleet/agent-core'
import t from 'tap'
import { busyPatience, whileBusy } from '#agent-core/keys/patience.ts'

/** Fails so many times with `code`, then succeeds; on a clock whose waits are written down. */
async function ask(failures: number, code: AgentErrorCode = 'ERR_KEY_STORAGE_BUSY') {
  const waited: number[] = []
  const clock = { now: () => 0, sleep: async (ms: number) => void waited.push(ms) }
  let tries = 0
  const work = async () => {
    if (++tries <= failures) throw new AgentError(code, `try ${tries}`)
    return 'done'
  }
  const outcome = await whileBusy(clock, work).catch((error: Error) => error.message)
  return { outcome, tries, waited }
}

t.test('busy hardware is asked again, with growing waits and bounds', async (t) => {
  t.same(await ask(0), { outcome: 'done', tries: 1, waited: [] })
  t.same(await ask(2), { outcome: 'done', tries: 3, waited: [20, 40] })
  t.same(await ask(7), { outcome: 'done', tries: 8, waited: [20, 40, 80, 160, 320, 640, 1280] })
  t.same(await ask(8), { outcome: 'try 8', tries: 8, waited: [20, 40, 80, 160, 320, 640, 1280] }, 'the last failure is told')
  t.equal(busyPatience.tries, 8)
})

t.test('any other failure is told at once', async (t) => {
  t.same(await ask(1, 'ERR_KEY_STORAGE_LOCKED_OUT'), { outcome: 'try 1', tries: 1, waited: [] })
  await t.rejects(
    whileBusy({ now: () => 0, sleep: async () => void t.fail('it waited') }, async () => {
      throw new TypeError('a bug')
    }),
    { message: 'a bug' },
  )
})
