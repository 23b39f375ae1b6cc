import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { root } from '../tooling/root.ts'
import type { ClientWish, IdleFigures } from './idle-client.ts'
import { countsOf, type LabAddress, type LabWish } from './idle-fleet.ts'

export const idleTargetKiB = 24
/** Of the warm-up, beside the devices that count. */
const extraDevices = 64

/** As a worker of a fleet is started. */
const workerEnvironment = { MALLOC_ARENA_MAX: '1' }

/** KiB a connected idle device, with lab and client in processes of their own. */
export async function idleFigures(count: number, isTls: boolean): Promise<IdleFigures> {
  const lab = fork(join(root, '.build/test/bench/idle-lab.js'))
  const client = fork(join(root, '.build/test/bench/idle-client.js'), {
    execArgv: ['--expose-gc'],
    env: { ...process.env, ...workerEnvironment },
  })
  try {
    const wish: LabWish = { counts: countsOf(count + extraDevices), isTls }
    const address = await asked<LabAddress>(lab, wish)
    return await asked<IdleFigures>(client, { devices: count, lab: address } satisfies ClientWish)
  } finally {
    for (const child of [client, lab]) if (child.connected) child.disconnect()
  }
}

async function asked<Answer>(child: ChildProcess, question: object): Promise<Answer> {
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`${child.spawnargs[1]} ended with ${code}`)))
  child.send(question)
  const [answer] = await Promise.race([once(child, 'message'), ended])
  return answer as Answer
}
