import { AgentError, type Clock } from '@certfleet/agent-core'
import { startProcess } from './child.ts'
import type { ProcessNews, WorkerOrders } from './messages.ts'
import type { WorkEnd } from './queue/work.ts'
import type { WorkPorts } from './queue/work-at.ts'

/** A process that crashes at once would be started again and again. */
const restartDelayMs = 1_000

/**
 * So many worker processes, until the signal brings each to its end, or each is. One that crashes is told of, and another started. The first
 * that may not or cannot work ends the others too.
 */
export async function runWorkers(orders: WorkerOrders, processes: number, { clock, signal, say }: WorkPorts): Promise<readonly WorkEnd[]> {
  const over = new AbortController()
  const ports = { clock, signal: AbortSignal.any([signal, over.signal]), say }
  const endOthers = () => over.abort(othersEnd)
  const lives = Array.from({ length: processes }, async () => {
    try {
      const end = await workerInProcess(orders, ports)
      if (end.kind === 'unfit') endOthers()
      return end
    } catch (error) {
      endOthers()
      throw error
    }
  })
  await Promise.allSettled(lives)
  return Promise.all(lives)
}

const othersEnd = 'another worker process could not go on'

async function workerInProcess(orders: WorkerOrders, ports: WorkPorts): Promise<WorkEnd> {
  for (;;) {
    const { end, why } = await lifeOfWorker(orders, ports)
    if (end) return end
    if (ports.signal.aborted) return { kind: 'stopped' }
    ports.say(`a worker process ${why}; another is started`)
    await ended(ports.clock.sleep(restartDelayMs, ports.signal))
    if (ports.signal.aborted) return { kind: 'stopped' }
  }
}

async function lifeOfWorker(
  orders: WorkerOrders,
  { signal, say }: WorkPorts,
): Promise<{ end: WorkEnd | undefined; why: string | undefined }> {
  let end: WorkEnd | undefined
  let refused: AgentError | undefined
  const process = startProcess({ kind: 'worker', orders }, (news: ProcessNews) => {
    if (news.kind === 'said') say(news.line)
    if (news.kind === 'worked') end = news.end
    if (news.kind === 'refused') refused = new AgentError(news.code, news.message)
  })
  const stop = () => process.send({ kind: 'stop' })
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const why = await process.ended
  signal.removeEventListener('abort', stop)
  if (refused) throw refused
  return { end, why }
}

const ended = (sleep: ReturnType<Clock['sleep']>): Promise<void> => sleep.catch(() => undefined)
