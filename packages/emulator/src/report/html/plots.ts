import { fleetPlatforms } from '../../scenario/schema.ts'
import { countText, durationText, momentText, rateText } from '../quantity.ts'
import type { RunResults } from '../results.ts'
import type { BinResult, Latency, LoadResults } from '../schema.ts'
import { jsonMarkup, type Markup, markup, section } from './markup.ts'

type Report = RunResults & LoadResults

/** What the page's script draws: a value a bin, null where there is none. Rates are per second; latencies are milliseconds. */
interface PlotData {
  readonly binSeconds: number
  readonly atSeconds: readonly number[]
  readonly rates: Readonly<Record<'due' | 'started' | 'completed' | 'enrolled' | 'failed' | 'errors', readonly number[]>>
  readonly connected: readonly number[]
  /** By `all` and platform: p50, p90, p99. */
  readonly latency: Readonly<Record<string, readonly (readonly (number | null)[])[]>>
  readonly crashSeconds: readonly number[]
}

export function plotData({ timeline: { binMs, bins }, crashes, queue }: Report): Markup {
  const rate = (count: (bin: BinResult) => number) => bins.map((bin) => rounded((count(bin) * 1000) / binMs))
  const platforms = fleetPlatforms.filter((platform) => bins.some((bin) => bin.platforms[platform] !== undefined))
  const data: PlotData = {
    binSeconds: binMs / 1000,
    atSeconds: bins.map(({ atMs }) => atMs / 1000),
    rates: {
      due: rate(({ due }) => due),
      started: rate(({ started }) => started),
      completed: rate(({ completed }) => completed),
      enrolled: rate(({ enrolled }) => enrolled),
      failed: rate(({ failed }) => failed),
      errors: rate(({ errors }) => errors),
    },
    connected: bins.map(({ connected }) => connected),
    latency: {
      all: percentiles(bins.map(({ latency }) => latency)),
      ...Object.fromEntries(platforms.map((platform) => [platform, percentiles(bins.map((bin) => bin.platforms[platform] ?? null))])),
    },
    crashSeconds: [...crashes, ...(queue?.takeovers ?? [])].map(({ atMs }) => atMs / 1000).sort((a, b) => a - b),
  }
  return markup`<script type="application/json" id="plot-data">${jsonMarkup(data)}</script>\n`
}

function percentiles(bins: readonly (Latency | null)[]): (number | null)[][] {
  const of = (value: (latency: Latency) => number) => bins.map((latency) => (latency === null ? null : rounded(value(latency))))
  return [of(({ p50Ms }) => p50Ms), of(({ p90Ms }) => p90Ms), of(({ p99Ms }) => p99Ms)]
}

const rounded = (value: number): number => Number(value.toPrecision(4))

/** All plots, each with its text alternative; one that has nothing to show says so instead. */
export function plots(results: Report): Markup {
  const { bins } = results.timeline
  if (bins.length === 0) return section('time', 'Over time', markup`<p class="none">The run ended before anything could be plotted.</p>`)
  const enrolls = bins.some(({ latency }) => latency !== null)
  const connects = bins.some(({ connected }) => connected > 0)
  return section(
    'time',
    'Over time',
    markup`<noscript><p class="warning">The plots need JavaScript; the tables hold every total.</p></noscript><div class="plots">`,
    enrolls
      ? plot('latency', 'Enrolment latency', 'by when the enrolment ended', latencyText(results), latencySwitch(results))
      : nothing('Enrolment latency', 'Nothing was enrolled.'),
    plot('arrivals', 'Arrivals', 'devices a second', arrivalsText(results)),
    plot('completions', 'Completions', 'a second', completionsText(results)),
    bins.some(({ errors }) => errors > 0) ? plot('errors', 'Errors', 'a second', errorsText(results)) : nothing('Errors', 'None.'),
    connects
      ? plot('connected', 'Connected devices', 'with an open push connection', connectedText(results))
      : nothing('Connected devices', 'No device kept a push connection.'),
    markup`</div>`,
  )
}

function plot(id: string, title: string, unit: string, alternative: string, controls?: Markup): Markup {
  return markup`<figure class="card"><figcaption><h3 id="${id}-title">${title} <span class="unit">${unit}</span></h3>${controls}<p id="${id}-text">${alternative}</p></figcaption><div class="plot" id="plot-${id}" data-plot="${id}" role="img" aria-labelledby="${id}-title" aria-describedby="${id}-text"></div></figure>\n`
}

function nothing(title: string, why: string): Markup {
  return markup`<figure class="card empty"><figcaption><h3>${title}</h3><p>${why}</p></figcaption></figure>\n`
}

function latencySwitch({ timeline }: Report): Markup {
  const platforms = fleetPlatforms.filter((platform) => timeline.bins.some((bin) => bin.platforms[platform] !== undefined))
  const choice = (name: string, isFirst: boolean) =>
    markup`<label><input type="radio" name="platform" value="${name}"${isFirst ? markup` checked` : undefined}>${name}</label>`
  const choices = ['all', ...(platforms.length > 1 ? platforms : [])].map((name, i) => choice(name, i === 0))
  return markup`<div class="controls">${choices.length > 1 ? markup`<fieldset><legend class="unseen">Platform</legend>${choices}</fieldset>` : undefined}<label><input type="checkbox" name="log">log scale</label></div>`
}

function arrivalsText({ timeline: { bins, binMs }, arrivals: { started, late } }: Report): string {
  const due = bins.reduce((sum, bin) => sum + bin.due, 0)
  return `${countText(due)} devices were due and ${countText(started)} began, ${countText(late)} of them late; most at ${peakText(bins, binMs, (bin) => bin.started)}.`
}

function completionsText({ timeline: { bins, binMs } }: Report): string {
  const sum = (count: (bin: BinResult) => number) => countText(bins.reduce((all, bin) => all + count(bin), 0))
  return `${sum((bin) => bin.enrolled)} certificates installed, most at ${peakText(bins, binMs, (bin) => bin.enrolled)}; ${sum((bin) => bin.completed)} devices through, ${sum((bin) => bin.failed)} of them with something missing.`
}

function errorsText({ timeline: { bins, binMs } }: Report): string {
  const all = bins.reduce((sum, bin) => sum + bin.errors, 0)
  const first = bins.find(({ errors }) => errors > 0)
  return `${countText(all)} ${all === 1 ? 'error' : 'errors'}, the first at ${momentText(first?.atMs ?? 0)}, most at ${peakText(bins, binMs, (bin) => bin.errors)}.`
}

function peakText(bins: readonly BinResult[], binMs: number, count: (bin: BinResult) => number): string {
  const peak = bins.reduce((best, bin) => (count(bin) > count(best) ? bin : best))
  return `${rateText((count(peak) * 1000) / binMs)} at ${momentText(peak.atMs)}`
}

function latencyText({ timeline: { bins } }: Report): string {
  const timed = bins.flatMap(({ atMs, latency }) => (latency === null ? [] : [{ atMs, latency }]))
  const [first, last] = [timed[0] as (typeof timed)[0], timed.at(-1) as (typeof timed)[0]]
  const worst = timed.reduce((one, other) => (other.latency.p99Ms > one.latency.p99Ms ? other : one))
  return `p50 went from ${durationText(first.latency.p50Ms)} to ${durationText(last.latency.p50Ms)}; p99 was highest, ${durationText(worst.latency.p99Ms)}, at ${momentText(worst.atMs)}.`
}

function connectedText({ timeline: { bins } }: Report): string {
  const most = bins.reduce((best, bin) => (bin.connected > best.connected ? bin : best))
  return `At most ${countText(most.connected)}, first at ${momentText(most.atMs)}; ${countText((bins.at(-1) as BinResult).connected)} at the end.`
}
