import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { RunResults } from '../results.ts'
import type { LoadResults } from '../schema.ts'
import { errorTable } from './errors.ts'
import { fleetTable, generatorTable, limitedBox } from './fleet.ts'
import { type Markup, markup } from './markup.ts'
import { plotData, plots } from './plots.ts'
import { machines } from './queue.ts'
import { stepTable } from './steps.ts'
import { banner, crashes, invariants, runFacts, thresholds, tiles } from './summary.ts'

const libraryFolder = createRequire(import.meta.url)
const library = (name: string): string => readFileSync(libraryFolder.resolve(`uplot/dist/${name}`), 'utf8')
const asset = (name: string): string => readFileSync(new URL(`../../../assets/${name}`, import.meta.url), 'utf8')

/**
 * One page that holds all it needs and opens from a file: its policy (CSP) lets nothing be fetched, and nothing run but its own script.
 * Whatever came from devices and servers is escaped. Plots are drawn by uPlot, in the page; the rest is there without script.
 */
export function renderHtml(results: RunResults & LoadResults): string {
  const script = [asset('report-canvas.js'), library('uPlot.iife.min.js'), asset('report.js')].join('\n')
  const style = [library('uPlot.min.css'), asset('report.css')].join('\n')
  return page(results, { style, script }).html
}

function page(results: RunResults & LoadResults, { style, script }: { style: string; script: string }): Markup {
  const policy = `default-src 'none'; style-src ${hashOf(style)}; script-src ${hashOf(script)}; base-uri 'none'; form-action 'none'`
  const limited = results.generator.limited ? limitedBox(results.generator.why) : undefined
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${results.verdict}: certfleet load test, ${results.startedAt}</title>
<style>${trusted(style)}</style>
</head>
<body>
${banner(results)}<main>
${limited}${tiles(results)}${checks(results)}${plots(results)}${stepTable(results)}${errorTable(results)}${crashes(results)}${machines(results)}${fleetTable(results)}${generatorTable(results)}${runFacts(results)}</main>
${plotData(results)}<script>${trusted(script)}</script>
</body>
</html>
`
}

function checks(results: RunResults & LoadResults): Markup {
  return markup`<div class="pair">${thresholds(results)}${invariants(results)}</div>\n`
}

/** Of the package's own files, which hold no end of their element. */
const trusted = (text: string): Markup => ({ html: text })

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
