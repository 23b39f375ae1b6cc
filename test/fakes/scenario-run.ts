import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { seededJitter, systemClock } from '@certfleet/agent-core'
import { faultyTransport, loadScenario, openTarget, populationOf, readTarget, targetTransport } from '@certfleet/emulator/fleet'
import { generateTenant, loadExport } from '@certfleet/emulator/tenant'
import { exampleProfiles } from '../commands/example.ts'
import { type Outcome, terminal } from '../commands/terminal.ts'
import { root } from '../tooling/root.ts'
import { enrolAll } from './target-fleet.ts'

/** Whether `certfleet run` takes a target. Then `runScenario` is `(file) => command(['run', file, '--json'])`, and all below it goes. */
export const isCommand: boolean = false

/** The compiled command, in a process of its own. */
export async function spawnScenario(file: string): Promise<Omit<Outcome, 'asked'>> {
  const child = spawn(process.execPath, [join(root, 'packages/emulator/dist/cli.js'), 'run', file, '--json'])
  const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => stream.setEncoding('utf8').toArray())
  const [exitCode] = (await once(child, 'close')) as [Outcome['exitCode']]
  return { exitCode, stdout: (await stdout)?.join('') ?? '', stderr: (await stderr)?.join('') ?? '' }
}

/** What `certfleet run FILE --json` does with a scenario that names a target: each device once, then what failed, by code. */
export async function runScenario(file: string): Promise<Omit<Outcome, 'asked'>> {
  const { target: document, devices = 4, timeout: timeoutMs, faults = {}, keys = 'fresh', seed = 1 } = await loadScenario(file)
  if (!document) throw new Error(`${file} names no target`)
  const { io, stderr } = terminal()
  const emulatedKeys = keys !== 'fresh'
  const settings = await readTarget(document, emulatedKeys, io)
  const tenant = generateTenant({ kinds: populationOf(devices), domain: 'contoso.example' })
  const target = openTarget(settings, { imported: await loadExport(exampleProfiles), tenant })
  const way = targetTransport(settings, { clock: systemClock, timeoutMs, emulatedKeys })
  const transport = faultyTransport(way, { faults, chance: seededJitter(`${seed}`), clock: systemClock, onFault: () => {} })
  const specs = [...tenant.devices.values()].map(({ id, platform, osVersion }) => ({ id, platform, osVersion }))
  const ended = await enrolAll({ target, transport, devices: specs })
  await way.close()
  const failures = ended.flatMap((device) => device.failures)
  const installed = ended.reduce((sum, { identities }) => sum + identities.length, 0)
  const count = (code: string) => failures.filter((failure) => failure.code === code).length
  const failuresByCode = Object.fromEntries(failures.map(({ code }) => [code, count(code)]))
  const results = { devices: specs.length, outcomes: { installed, failed: failures.length, pending: 0 }, failuresByCode, failures }
  return { exitCode: failures.length > 0 ? 1 : 0, stdout: JSON.stringify(results), stderr: stderr() }
}
