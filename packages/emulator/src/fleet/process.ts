/** The entry of the processes that a fleet starts: a part of its devices, its lab, or a worker of a queue. Its first message says which. */
import { AgentError, type Instant } from '@certfleet/agent-core'
import { stopwatchMs, systemClock } from '@certfleet/agent-core/system'
import { meterCost } from '../measure/generator.ts'
import { startEmbeddedLab } from './embedded-lab.ts'
import type { ProcessNews, ProcessOrders, ProcessRequest, WorkerOrders } from './messages.ts'
import { workAt } from './queue/work-at.ts'
import { runShard, type ShardOrders } from './shard.ts'

// A service manager tells everybody; what becomes of the run is for the first process to decide.
process.on('SIGINT', () => {}).on('SIGTERM', () => {})
// It is gone: there is nobody to work for.
const leave = () => process.exit()
process.once('disconnect', leave)

const tell = (news: ProcessNews): void => void process.send?.(news)
/** What is on its way when the channel is closed is lost: this one, and all before it, have arrived by then. */
const tellLast = (news: ProcessNews): void => void process.send?.(news, end)

process.once('message', ({ kind, orders }: ProcessOrders) => {
  const running = kind === 'lab' ? serveLabOrders(orders) : kind === 'worker' ? workOrders(orders) : runOrders(orders)
  running.catch((error: unknown) => {
    if (!(error instanceof AgentError)) throw error
    tellLast({ kind: 'refused', code: error.code, message: error.message })
  })
})

async function runOrders(orders: ShardOrders): Promise<void> {
  const stop = new AbortController()
  const begun = new Promise<Instant>((resolve, reject) => {
    process.on('message', (request: ProcessRequest) => {
      if (request.kind === 'begin') resolve(request.startedAt)
      if (request.kind !== 'stop') return
      stop.abort(new Error('interrupted'))
      reject(stop.signal.reason)
    })
  })
  // It may be stopped before it is as far as to wait for this.
  begun.catch(() => undefined)
  const begin = () => {
    tell({ kind: 'ready' })
    return begun
  }
  await runShard(orders, { clock: systemClock, tell, begin, signal: stop.signal }).catch((error: unknown) => {
    if (!stop.signal.aborted || error !== stop.signal.reason) throw error
  })
  tellLast({ kind: 'through' })
}

async function workOrders(orders: WorkerOrders): Promise<void> {
  const stop = new AbortController()
  process.on('message', (request: ProcessRequest) => {
    if (request.kind === 'stop') stop.abort(new Error('interrupted'))
  })
  const say = (line: string) => tell({ kind: 'said', line })
  const end = await workAt(orders, { clock: systemClock, signal: stop.signal, say })
  tell({ kind: 'worked', end })
  tellLast({ kind: 'through' })
}

async function serveLabOrders(orders: Extract<ProcessOrders, { kind: 'lab' }>['orders']): Promise<void> {
  const { deliver, issued, close, transport: _, ...reach } = await startEmbeddedLab(orders, systemClock, false)
  const stop = new AbortController()
  const cost = meterCost({ clock: systemClock, stopwatchMs, signal: stop.signal })
  const answers: {
    readonly [Kind in ProcessRequest['kind']]?: (request: Extract<ProcessRequest, { kind: Kind }>) => Promise<ProcessNews>
  } = {
    deliver: async ({ imported }) => deliver(imported).then(() => ({ kind: 'delivered' })),
    issued: async () => ({ kind: 'issued', issued: await issued() }),
    cost: async () => ({ kind: 'cost', cost: cost.take() }),
  }
  process.on('message', async (request: ProcessRequest) => {
    const answer = answers[request.kind] as ((request: ProcessRequest) => Promise<ProcessNews>) | undefined
    if (answer) tell(await answer(request))
    if (request.kind !== 'close') return
    stop.abort()
    await close()
    tellLast({ kind: 'through' })
  })
  tell({ kind: 'lab', reach })
}

/** By itself, once nothing is left to do: what listens for that, such as an exporter of spans, has its time. */
function end(): void {
  process.off('disconnect', leave)
  process.disconnect?.()
}
