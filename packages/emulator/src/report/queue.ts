import { steps } from '../measure/types.ts'
import { countText, momentText } from './quantity.ts'
import type { QueueResult } from './schema.ts'

/** A run over several machines, in lines for people: who carried it, and what went elsewhere on the way. */
export function queueLines({ id, takeovers, ...queue }: QueueResult): string[] {
  const told = takeovers.map(({ shard, atMs, worker, devicesDelayed }) => {
    return `  taken over: shard ${shard} at ${momentText(atMs)}, by ${worker}; ${counted(devicesDelayed, 'device')} delayed`
  })
  return [`run ${id}: ${carriedText(queue)}`, ...told, ...afterwards(queue).map((line) => `  ${line}`)]
}

/** `12 shards, taken 14 times by 2 workers on 2 machines` */
export function carriedText({ shards, attempts, workers }: Pick<QueueResult, 'shards' | 'attempts' | 'workers'>): string {
  const machines = new Set(workers.map(({ host }) => host)).size
  const carriers = `${counted(workers.length, 'worker')} on ${counted(machines, 'machine')}`
  return `${counted(shards, 'shard')}, taken ${counted(attempts, 'time')} by ${carriers}`
}

/** What came of stops and takeovers; nothing where there was none. */
export function afterwards({ resumes, devicesDelayed, repeated }: Pick<QueueResult, 'resumes' | 'devicesDelayed' | 'repeated'>): string[] {
  const again = steps.flatMap((step) => (repeated[step] ? [`${countText(repeated[step])} ${step}`] : []))
  return [
    ...(devicesDelayed > 0
      ? [`${counted(devicesDelayed, 'device')} delayed by takeovers: in every count, and left out of enrolments a second`]
      : []),
    ...(again.length > 0 ? [`made again after a takeover, and measured once: ${again.join(', ')}`] : []),
    ...(resumes > 0 ? [`parked and taken up again: ${counted(resumes, 'shard')}`] : []),
  ]
}

const counted = (count: number, one: string): string => `${countText(count)} ${one}${count === 1 ? '' : 's'}`
