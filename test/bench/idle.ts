import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { Command } from 'commander'
import { root } from '../tooling/root.ts'
import type { ClientWish, IdleFigures } from './idle-client.ts'
import { countsOf, type LabAddress, type LabWish } from './idle-fleet.ts'

const targetKiB = 24
/** Of the warm-up, beside the devices that count. */
const extraDevices = 64

const { devices, tls } = new Command('idle')
  .option('--devices <n>', 'connected and idle at the same time', Number, 10_000)
  .option('--tls <n>', 'then so many over TLS, 0 for none', Number, 2_000)
  .parse()
  .opts<{ devices: number; tls: number }>()
tell(`${devices} devices, plain`, await measured(devices, false), targetKiB)
if (tls > 0) tell(`${tls} devices, TLS`, await measured(tls, true))

/** KiB a connected idle device, with lab and client in processes of their own. */
async function measured(count: number, isTls: boolean): Promise<IdleFigures> {
  const lab = fork(join(root, '.build/test/bench/idle-lab.js'))
  const client = fork(join(root, '.build/test/bench/idle-client.js'), { execArgv: ['--expose-gc'] })
  try {
    const wish: LabWish = { counts: countsOf(count + extraDevices), isTls }
    const address = await asked<LabAddress>(lab, wish)
    return await asked<IdleFigures>(client, { devices: count, lab: address } satisfies ClientWish)
  } finally {
    client.disconnect()
    lab.disconnect()
  }
}

async function asked<Answer>(child: ChildProcess, question: object): Promise<Answer> {
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`${child.spawnargs[1]} ended with ${code}`)))
  child.send(question)
  const [answer] = await Promise.race([once(child, 'message'), ended])
  return answer as Answer
}

function tell(name: string, { rss, ...parts }: IdleFigures, target?: number): void {
  const others = Object.entries(parts).map(([part, size]) => `${part} ${size.toFixed(1)}`)
  const wanted = target === undefined ? '' : `, at most ${target}`
  console.log(`${name}: ${rss.toFixed(1)} KiB RSS a device above the empty fleet${wanted} (${others.join(', ')})`)
}
