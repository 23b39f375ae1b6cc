import { fleetPlatforms } from '../../scenario/schema.ts'
import { bytesText, countText, durationText, shareText } from '../quantity.ts'
import { remarkLines } from '../remarks.ts'
import type { RunResults } from '../results.ts'
import type { LoadResults } from '../schema.ts'
import { type Markup, markup, section, table } from './markup.ts'

type Report = RunResults & LoadResults

const figure = (head: string) => ({ head, isFigure: true }) as const

/** How each platform's devices came off, and what else is to be said of the fleet. */
export function fleetTable(results: Report): Markup {
  const rows = fleetPlatforms.flatMap((platform) => {
    const row = results.platforms[platform]
    if (row === undefined) return []
    const { devices, rootsInstalled, certificatesInstalled, pending, failed, latencyMs } = row
    const counts = [devices, rootsInstalled, certificatesInstalled, pending].map(countText)
    const bad = failed > 0 ? markup`<strong class="bad">${countText(failed)}</strong>` : '0'
    return [[platform, ...counts, bad, ...[latencyMs.p50, latencyMs.p90, latencyMs.p99].map(durationText)]]
  })
  const figures = ['Devices', 'Roots', 'Certificates', 'Pending', 'Failed', 'p50', 'p90', 'p99'].map(figure)
  const shown = table({ caption: 'Devices by platform', columns: [{ head: 'Platform' }, ...figures], rows })
  const note = markup`<p class="note">Latency here is from key generation to installation, without the wait for the device's turn.</p>`
  const content = rows.length === 0 ? markup`<p class="none">No device was run.</p>` : markup`${shown}${note}`
  return section('fleet', 'Platforms', content, remarks(results))
}

function remarks(results: Report): Markup | undefined {
  const [waiting] = results.waitingForUser
  const waitingLine = waiting && `${results.waitingForUser.length} waiting for the user. First: ${waiting.device}: ${waiting.message}`
  const lines = [...remarkLines(results), ...(waitingLine === undefined ? [] : [waitingLine])]
  return lines.length === 0 ? undefined : markup`<ul class="remarks">${lines.map((line) => markup`<li>${line}</li>`)}</ul>`
}

/** What making the load cost, and whether the figures are of it instead of the server. */
export function generatorTable({ generator: { cores, processes, limited, why } }: Report): Markup {
  const rows = processes.map(({ name, cpuMs, cpuShare, rssBytes, loopLag }) => [
    name,
    durationText(cpuMs),
    shareText(cpuShare),
    bytesText(rssBytes),
    durationText(loopLag?.p99Ms ?? null),
    durationText(loopLag?.maxMs ?? null),
  ])
  const columns = [{ head: 'Process' }, ...['CPU', 'Of one core', 'Memory', 'Loop lag p99', 'Loop lag max'].map(figure)]
  const title = `Load generator, on ${countText(cores)} ${cores === 1 ? 'core' : 'cores'}`
  const shown = rows.length === 0 ? markup`<p class="none">No process was measured.</p>` : table({ caption: title, columns, rows })
  const kept = markup`<p class="note">It kept up: the figures are of the server.</p>`
  return section('generator', title, limited ? limitedBox(why) : kept, shown)
}

/** Stands at the top of the page as well: nobody who reads a latency may miss it. */
export function limitedBox(why: readonly string[]): Markup {
  return markup`<div class="warning" role="note"><strong>The load generator was the limit, not the server.</strong> Latencies are too high and rates too low: take them as bounds, or run fewer devices on more cores.<ul>${why.map((one) => markup`<li>${one}</li>`)}</ul></div>\n`
}
