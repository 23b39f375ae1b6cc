import { type AgentErrorCode, adviceByCode } from '@certfleet/agent-core'
import { adviceText } from '../advice.ts'
import { countText } from '../quantity.ts'
import type { RunResults } from '../results.ts'
import type { ErrorResult, LoadResults } from '../schema.ts'
import { type Markup, markup, section, wide } from './markup.ts'

type Report = RunResults & LoadResults

const shownRows = 12

/** By code, with what to do about it; below each code by step and answer, most frequent first. */
export function errorTable(results: Report): Markup {
  const codes = codesOf(results)
  if (codes.length === 0) return section('errors', 'Errors', markup`<p class="none">None.</p>`)
  const most = results.errors.reduce((max, { count }) => Math.max(max, count), 1)
  const head = markup`<thead><tr><th scope="col">Step</th><th scope="col">The server answered</th><th scope="col" class="figure">Count</th><th scope="col"><span class="unseen">Share</span></th><th scope="col">First</th></tr></thead>`
  const whole = markup`<table class="errors"><caption>Errors by code, step and answer</caption>${head}${codes.map((code) => codeGroup(code, results, most))}</table>`
  const note = markup`<p class="note">Counted each time: what failed and came right when it was tried again is here too.</p>`
  return section('errors', 'Errors', wide(whole, 'Errors by code, step and answer'), note)
}

/** Those that were counted on the way, then those that a result alone tells of. */
function codesOf({ errors, failuresByCode }: Report): string[] {
  return [...new Set([...errors.map(({ code }) => code), ...Object.keys(failuresByCode)])]
}

function codeGroup(code: string, { errors, failuresByCode, failures }: Report, most: number): Markup {
  const rows = errors.filter((error) => error.code === code)
  const inTheEnd = (failuresByCode as Readonly<Record<string, number>>)[code] ?? 0
  const ended = inTheEnd > 0 ? markup` <span class="ended">${countText(inTheEnd)} failed in the end</span>` : undefined
  const advice = isAgentCode(code) ? markup`<p class="advice">${adviceText(code)}</p>` : undefined
  const more =
    rows.length > shownRows
      ? markup`<tr><td colspan="5">and ${countText(rows.length - shownRows)} more in results.json</td></tr>`
      : undefined
  const shown = rows.slice(0, shownRows).map((row) => errorRow(row, most))
  const only = failures.find((failure) => failure.code === code)
  const untold = rows.length === 0 && only ? markup`<tr><td colspan="5">${firstText(only)}</td></tr>` : undefined
  return markup`<tbody><tr class="code"><th scope="rowgroup" colspan="5"><code>${code}</code>${ended}${advice}</th></tr>${shown}${more}${untold}</tbody>\n`
}

const isAgentCode = (code: string): code is AgentErrorCode => Object.hasOwn(adviceByCode, code)

function errorRow({ step, answer, count, first }: ErrorResult, most: number): Markup {
  return markup`<tr><th scope="row">${step}</th><td class="answer">${answer ?? markup`<span class="none">nothing</span>`}</td><td class="figure">${countText(count)}</td><td class="share-cell">${share(count / most)}</td><td class="first">${firstText(first)}</td></tr>\n`
}

function firstText({ device, message }: { device: string; message: string }): Markup {
  return markup`<span class="device">${device}</span> ${message}`
}

function share(part: number): Markup {
  return markup`<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false"><rect x="0" y="0" width="${Math.max(1, part * 100).toFixed(1)}" height="8"/></svg>`
}
