import { countText, momentText } from '../quantity.ts'
import { afterwards, carriedText } from '../queue.ts'
import type { LoadResults, QueueResult } from '../schema.ts'
import { type Markup, markup, section, table } from './markup.ts'

/** Of a run over several machines: who carried it, and what was taken over. */
export function machines({ queue }: LoadResults): Markup | undefined {
  if (!queue) return undefined
  const lines = afterwards(queue)
  const list = lines.length > 0 ? markup`<ul class="remarks">${lines.map((line) => markup`<li>${line}</li>`)}</ul>` : undefined
  const told = markup`<p>Run <code>${queue.id}</code>: ${carriedText(queue)}.</p>`
  return section('machines', 'Machines', told, workerTable(queue), takeoverTable(queue), list)
}

function workerTable({ workers }: QueueResult): Markup | undefined {
  if (workers.length === 0) return undefined
  const rows = workers.map(({ name, host, node, shards }) => [name, host, node, countText(shards)])
  const columns = [{ head: 'Worker' }, { head: 'Machine' }, { head: 'Node.js' }, { head: 'Shards', isFigure: true }] as const
  return table({ caption: 'Workers', columns, rows })
}

/** As crashes do, they stand beside the figures that they spoil. */
function takeoverTable({ takeovers }: QueueResult): Markup | undefined {
  if (takeovers.length === 0) return undefined
  const rows = takeovers.map(({ atMs, shard, worker, devicesDelayed }) => [momentText(atMs), shard, worker, countText(devicesDelayed)])
  const columns = [
    { head: 'At' },
    { head: 'Shard', isFigure: true },
    { head: 'Taken over by' },
    { head: 'Devices delayed', isFigure: true },
  ] as const
  return markup`<p class="warning">A worker was lost, and its shard went on elsewhere: latencies and rates around these moments are not those of a steady run; the plots mark them.</p>${table({ caption: 'Takeovers', columns, rows })}`
}
