import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Jitter } from '@certfleet/agent-core'
import { seededJitter, systemClock } from '@certfleet/agent-core/system'
import { cheapKeys } from '../lab/kill-keys.ts'
import { type DeviceProcess, type Outcome, startDevice } from './device.ts'
import { type Stage, stages } from './life.ts'
import { type LifeService, type Shared, serveLife, share } from './service.ts'

/** One process that was killed, or was to be. */
export interface Kill {
  readonly stage: string
  readonly how: 'at a call' | 'at a time' | 'while it recovers'
  /** The last step that it told. Absent: it had settled before the kill came. */
  readonly call?: string
}

export interface Tally {
  readonly lives: number
  readonly kills: readonly Kill[]
  /** With the life that has each. */
  readonly problems: readonly string[]
}

export interface KillOptions {
  /** How many processes are to be killed, at least. */
  readonly runs: number
  readonly seed: string
  /** Exists. */
  readonly folder: string
  /** How many devices at once. */
  readonly parallel: number
  /** This life alone. */
  readonly only?: number | undefined
  readonly onProgress?: (tally: Tally) => void
}

/** How long a stage takes where nothing is killed. */
interface Course {
  readonly steps: number
  readonly ms: number
}

/** Each process may need so many new keys at most, and each stage so many processes. */
const keysOfALife = 4 * (1 + 3 * stages.length)
const shareAtATime = 0.25
const shareWhileRecovering = 0.2

/**
 * Lives of devices, each in a process that is killed in every stage, once by a step of its ports or by the clock, sometimes again as it
 * recovers, and started anew until the device has settled. What is lost is a problem.
 */
export async function runKills({ runs, seed, folder, parallel, only, onProgress = () => {} }: KillOptions): Promise<Tally> {
  const shared = await share(await cheapKeys(1 + keysOfALife))
  const courses = await rehearse(join(folder, 'rehearsal'), shared)
  const kills: Kill[] = []
  const problems: string[] = []
  let lives = 0
  const live = async (index: number): Promise<void> => {
    const jitter = seededJitter(`kill ${seed} ${index}`)
    const found = await liveOnce(join(folder, `life-${index}`), shared, courses, jitter, kills)
    problems.push(...found.map((problem) => `life ${index}: ${problem}`))
    lives++
    onProgress({ lives, kills, problems })
  }
  const worker = async (first: number): Promise<void> => {
    for (let index = first; kills.length < runs; index += parallel) await live(index)
  }
  if (only !== undefined) await live(only)
  else await Promise.all(Array.from({ length: parallel }, (_, i) => worker(i)))
  return { lives, kills, problems }
}

async function rehearse(folder: string, shared: Shared): Promise<readonly Course[]> {
  const service = await serveLife(folder, shared)
  const scene: Scene = { device: undefined, service, problems: [] }
  const courses: Course[] = []
  try {
    for (const stage of stages) {
      service.enter(stage)
      const device = proceed(scene, {})
      await device.begun()
      const startMs = systemClock.now()
      const outcome = await device.outcome()
      courses.push({ steps: outcome.kind === 'settled' ? outcome.steps : 0, ms: systemClock.now() - startMs })
      const problems = await service.problemsSettled()
      if (problems.length > 0) throw new Error(`without a kill, after ${stage.name}: ${problems.join('; ')}`)
    }
    await scene.device?.end()
  } finally {
    scene.device?.kill()
    await service.close()
  }
  return courses
}

async function liveOnce(folder: string, shared: Shared, courses: readonly Course[], jitter: Jitter, kills: Kill[]): Promise<string[]> {
  const service = await serveLife(folder, shared)
  const scene: Scene = { device: undefined, service, problems: [] }
  try {
    for (const [i, stage] of stages.entries()) {
      service.enter(stage)
      await passStage(scene, stage, courses[i] as Course, jitter, kills)
    }
    await scene.device?.end()
    if (scene.problems.length === 0) await rm(folder, { recursive: true })
  } catch (error) {
    scene.problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
  } finally {
    scene.device?.kill()
    await service.close()
  }
  return scene.problems
}

interface Scene {
  device: DeviceProcess | undefined
  readonly service: LifeService
  readonly problems: string[]
}

/** Kills the device in this stage and starts it again until it settles. */
async function passStage(scene: Scene, stage: Stage, course: Course, jitter: Jitter, kills: Kill[]): Promise<void> {
  const { service, problems } = scene
  const drawStep = () => jitter.between(0, course.steps - 1)
  const isAtATime = jitter.between(0, 99) < 100 * shareAtATime
  const step = drawStep()
  const timer = new AbortController()
  const device = proceed(scene, isAtATime ? {} : { killAt: step })
  if (isAtATime) killAfter(device, (course.ms * step) / course.steps, timer.signal)
  let outcome = await device.outcome()
  timer.abort()
  kills.push(killOf(stage, isAtATime ? 'at a time' : 'at a call', outcome))
  for (let isAgain = jitter.between(0, 99) < 100 * shareWhileRecovering; outcome.kind === 'killed'; isAgain = false) {
    problems.push(...(await service.problemsNow()).map((problem) => `${stage.name}, killed ${outcomeCall(outcome)}: ${problem}`))
    scene.device = undefined
    outcome = await proceed(scene, isAgain ? { killAt: drawStep() } : {}).outcome()
    if (outcome.kind === 'killed') kills.push(killOf(stage, 'while it recovers', outcome))
  }
  problems.push(...(await service.problemsSettled()).map((problem) => `${stage.name}, settled: ${problem}`))
}

/** Sends the process that is there on, or starts one. */
function proceed(scene: Scene, { killAt }: { readonly killAt?: number }): DeviceProcess {
  const order = { at: scene.service.now(), ...(killAt !== undefined && { killAt }) }
  scene.device?.go(order)
  scene.device ??= startDevice(scene.service.startOf(order))
  return scene.device
}

/** So long after its first step. A process that has settled by then is not killed. */
function killAfter(device: DeviceProcess, ms: number, signal: AbortSignal): void {
  device
    .begun()
    .then(() => systemClock.sleep(ms, signal))
    .then(
      () => device.kill(),
      () => {},
    )
}

function killOf({ name: stage }: Stage, how: Kill['how'], outcome: Outcome): Kill {
  const call = outcomeCall(outcome)
  return { stage, how, ...(call !== undefined && { call }) }
}

function outcomeCall(outcome: Outcome): string | undefined {
  return outcome.kind === 'killed' ? outcome.calls.at(-1) : undefined
}
