import { countText, durationText, momentText, rateText, shareText, spanText } from '../quantity.ts'
import type { RunResults } from '../results.ts'
import type { LoadResults } from '../schema.ts'
import { measuredText, reasonsOf } from '../verdict.ts'
import { type Markup, markup, section, table } from './markup.ts'

type Report = RunResults & LoadResults

const words = { passed: 'Passed', failed: 'Failed', interrupted: 'Interrupted' } as const
const signs = { passed: '✓', failed: '✕', interrupted: '‖' } as const

/** Verdict and why, large. */
export function banner(results: Report): Markup {
  const { verdict, run, devices, startedAt } = results
  return markup`<header class="banner ${verdict}">
<p class="eyebrow">certfleet load test</p>
<h1><span class="sign" aria-hidden="true">${signs[verdict]}</span> ${words[verdict]}</h1>
<p class="what">${countText(devices)} devices against ${targetText(run)} · <time datetime="${startedAt}">${timeText(startedAt)}</time></p>
${run.marking === null ? undefined : markup`<p class="marking">Keys: ${run.marking}</p>\n`}<ul>${reasonsOf(results).map((reason) => markup`<li>${reason}</li>`)}</ul>
</header>\n`
}

const targets: Readonly<Record<LoadResults['run']['target'], string>> = {
  lab: 'the embedded lab',
  policy: 'the policy service',
  scep: 'the SCEP server',
}

function targetText({ target, url }: LoadResults['run']): string {
  return `${targets[target]}, ${url}`
}

function timeText(iso: string): string {
  return iso.replace('T', ' ').replace(/(\.\d+)?Z$/, ' UTC')
}

/** The five figures that are asked for first. */
export function tiles(results: Report): Markup {
  const { devices, outcomes, enrollmentsPerSecond, durationMs, steps } = results
  const latency = steps.find(({ step, platform }) => step === 'enrollment' && platform === 'all')
  const [p50, p99] = latency ? [latency.p50Ms, latency.p99Ms] : [null, null]
  const tried = outcomes.installed + outcomes.failed
  return markup`<dl class="tiles" aria-label="In short">
${tile('Devices', countText(devices), `in ${durationText(durationMs)}`)}
${tile('Certificates', countText(outcomes.installed), outcomes.pending > 0 ? `${countText(outcomes.pending)} pending` : 'installed')}
${tile('Rate', rateText(enrollmentsPerSecond), 'over the whole run')}
${tile('Enrolment p50', durationText(p50), 'half were faster')}
${tile('Enrolment p99', durationText(p99), 'one in 100 was slower')}
${tile('Failed', countText(outcomes.failed), tried > 0 ? `${shareText(outcomes.failed / tried)} of what was asked` : 'nothing was tried', outcomes.failed > 0)}
</dl>\n`
}

function tile(name: string, value: string, note: string, isBad = false): Markup {
  return markup`<div class="tile${isBad ? ' bad' : ''}"><dt>${name}</dt><dd class="value">${value}</dd><dd class="note">${note}</dd></div>`
}

/** What was run, so that it can be run again. */
export function runFacts({ run, seed, durationMs, timeline, arrivals }: Report): Markup {
  const concurrency = run.concurrency === null ? '' : `, ${countText(run.concurrency)} at a time`
  const rows: readonly (readonly [string, string | Markup | undefined])[] = [
    ['Target', targetText(run)],
    ['Seed', String(seed)],
    ['Arrival', `${run.arrival} (${run.model} model${concurrency})`],
    ['Late arrivals', lateText(arrivals)],
    ['Keys', run.marking === null ? run.keys : markup`${run.keys} <strong class="marking">${run.marking}</strong>`],
    ['Processes', run.workers === 0 ? 'one' : `the first and ${countText(run.workers)} workers`],
    ['Duration', `${durationText(durationMs)}, plotted by ${spanText(timeline.binMs)}`],
    ['Resumed', run.resumed === 0 ? undefined : `${countText(run.resumed)} devices went on from an earlier run`],
    ['Node.js', run.node],
  ]
  const told = rows.filter(([, value]) => value !== undefined)
  return section(
    'run',
    'The run',
    markup`<dl class="facts">${told.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`,
  )
}

function lateText({ started, late, lateness }: LoadResults['arrivals']): string {
  if (started === 0) return 'no device began'
  if (late === 0) return `none of ${countText(started)}`
  const worst = lateness === null ? '' : `; the latest by ${durationText(lateness.maxMs)}`
  return `${countText(late)} of ${countText(started)} began more than 100 ms after they were due${worst}`
}

const passed = (isGood: boolean, good: string, bad: string): Markup =>
  markup`<span class="mark ${isGood ? 'good' : 'bad'}"><span aria-hidden="true">${isGood ? '✓' : '✕'}</span> ${isGood ? good : bad}</span>`

export function thresholds({ thresholds: all }: Report): Markup {
  if (all.length === 0) return section('thresholds', 'Thresholds', markup`<p class="none">The scenario asked for none.</p>`)
  const rows = all.map((one) => [markup`<code>${one.threshold}</code>`, measuredText(one), passed(one.passed, 'met', 'missed')])
  const columns = [{ head: 'Threshold' }, { head: 'Measured', isFigure: true }, { head: 'Outcome' }] as const
  return section('thresholds', 'Thresholds', table({ caption: 'Thresholds', columns, rows }))
}

/** What must hold of any run, with what was found against it. */
export function invariants({ invariants: all }: Report): Markup {
  if (all.length === 0) return section('invariants', 'Invariants', markup`<p class="none">None was checked.</p>`)
  const rows = all.map(({ name, checked, violations, found, note }) => [
    markup`${name}${note === undefined ? undefined : markup`<p class="note">${note}</p>`}${foundList(found, violations)}`,
    countText(checked),
    checked === 0 && violations === 0
      ? markup`<span class="mark">not checked</span>`
      : passed(violations === 0, 'held', `${countText(violations)} violated`),
  ])
  const columns = [{ head: 'What must hold' }, { head: 'Checked', isFigure: true }, { head: 'Outcome' }] as const
  return section('invariants', 'Invariants', table({ caption: 'Invariants', columns, rows }))
}

function foundList(found: readonly string[], violations: number): Markup | undefined {
  if (found.length === 0) return undefined
  const more = violations > found.length ? markup`<li>and ${countText(violations - found.length)} more</li>` : undefined
  return markup`<ul class="found">${found.map((one) => markup`<li>${one}</li>`)}${more}</ul>`
}

/** Crashes stand beside the figures that they spoil. */
export function crashes({ crashes: all, devicesLost }: Report): Markup | undefined {
  if (all.length === 0 && devicesLost === 0) return undefined
  const rows = all.map(({ atMs, worker, why, devicesRestarted }) => [momentText(atMs), worker, why, countText(devicesRestarted)])
  const columns = [{ head: 'At' }, { head: 'Process' }, { head: 'Why' }, { head: 'Devices restarted', isFigure: true }] as const
  const lost = markup`<p>${countText(devicesLost)} devices were given up after their processes had crashed too often.</p>`
  return section(
    'crashes',
    'Crashes',
    markup`<p class="warning">Latencies and rates around these moments are not those of a steady run; the plots mark them.</p>`,
    all.length > 0 ? table({ caption: 'Crashes', columns, rows }) : undefined,
    devicesLost > 0 ? lost : undefined,
  )
}
