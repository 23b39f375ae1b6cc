import { type Markup, markup } from '../../report/html/markup.ts'
import type { OutcomeCounts } from './view.ts'
import { type Outcome, outcomeMarks, outcomes } from './words.ts'

/** How many of each, as one bar of 0 to `most`. The counts stand beside it, so it is nothing to those who hear the page. */
export function bar(counts: OutcomeCounts, most: number): Markup {
  const scale = 100 / Math.max(1, most)
  let from = 0
  const parts = outcomes.map((outcome) => {
    const width = counts[outcome] * scale
    const part = width === 0 ? undefined : markup`<rect class="${outcome}" x="${from.toFixed(2)}" width="${width.toFixed(2)}" height="10"/>`
    from += width
    return part
  })
  return markup`<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">${parts}</svg>`
}

export function total(counts: OutcomeCounts): number {
  return outcomes.reduce((sum, outcome) => sum + counts[outcome], 0)
}

/** `✕ 3` for the eye, `3 go without` for the ear. */
export function chips(counts: OutcomeCounts): Markup {
  const shown = outcomes.filter((outcome) => counts[outcome] > 0)
  return markup`${shown.map((outcome) => chip(outcome, counts[outcome]))}`
}

function chip(outcome: Outcome, count: number): Markup {
  const { sign, counted } = outcomeMarks[outcome]
  return markup`<span class="chip ${outcome}"><span aria-hidden="true">${sign}</span> ${count.toLocaleString('en-US')}<span class="unseen"> ${counted}, </span></span> `
}
