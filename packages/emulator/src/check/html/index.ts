import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Instant } from '@certfleet/agent-core'
import { type Markup, markup } from '../../report/html/markup.ts'
import type { CheckResult } from '../check.ts'
import type { Emulation } from '../emulate.ts'
import type { QuestionAnswer } from '../questions.ts'
import type { CheckScope } from '../types.ts'
import { findingList } from './findings.ts'
import { matrix } from './matrix.ts'
import { profilePage } from './profile.ts'
import { emulationTable, questionTable, sourceTable } from './questions.ts'
import { banner, platformBars, tiles, verdictOf } from './summary.ts'
import { type CheckView, checkView } from './view.ts'
import { platformTexts } from './words.ts'

export interface CheckReportParts {
  readonly result: CheckResult
  readonly answers: readonly QuestionAnswer[]
  readonly emulation?: Emulation | undefined
  /** Shown at the top. */
  readonly at: Instant
  /** What of the export was checked. Default: all. */
  readonly scope?: CheckScope | undefined
}

const asset = (name: string): string => readFileSync(new URL(`../../../assets/${name}`, import.meta.url), 'utf8')

/**
 * One self-contained page for people who do not use terminals; opens offline, and nothing of the export is taken for markup.
 * All of it can be read without script; the page's own narrows what is shown. Lists are bounded, so that it stays below 20 MB.
 */
export function checkReportHtml(parts: CheckReportParts): string {
  const view = checkView(parts)
  const style = `${asset('report.css')}\n${asset('check-report.css')}`
  return page(parts, view, { style, script: asset('check-report.js') }).html
}

function page(parts: CheckReportParts, view: CheckView, { style, script }: { style: string; script: string }): Markup {
  const policy = `default-src 'none'; style-src ${hashOf(style)}; script-src ${hashOf(script)}; base-uri 'none'; form-action 'none'`
  const { answers, emulation } = parts
  const pages = view.profiles.map((profile) => profilePage(profile, view))
  return markup`<!doctype html>
<html lang="en" data-print>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<meta name="referrer" content="no-referrer">
<title>${verdictOf(view, parts).text}: certfleet check</title>
<style>${trusted(style)}</style>
</head>
<body>
<a class="skip" href="#main">To the content</a>
${banner(view, parts)}${contents(parts, view)}${filter(view)}<main id="main" tabindex="-1">
${tiles(view)}${platformBars(view)}${matrix(view)}${findingList(view)}${questionTable(answers)}${emulationTable(emulation, view)}${pages}${sourceTable(view)}</main>
<script>${trusted(script)}</script>
</body>
</html>
`
}

function contents({ answers, emulation }: CheckReportParts, { profiles }: CheckView): Markup {
  const links: readonly (readonly [string, string] | false)[] = [
    ['profiles', 'Profiles'],
    ['findings', 'Findings'],
    answers.length > 0 && ['questions', 'Open questions'],
    emulation !== undefined && ['emulation', 'Emulation'],
    profiles.length > 0 && ['profile-1', 'Profile by profile'],
  ]
  return markup`<nav aria-label="Contents"><ul>${links.filter((link) => link !== false).map(([id, text]) => markup`<li><a href="#${id}">${text}</a></li>`)}</ul></nav>\n`
}

/** Shown by the script, which alone can do anything with it. */
function filter({ platforms }: CheckView): Markup {
  const options = platforms.map((platform) => markup`<option value="${platform}">${platformTexts[platform]}</option>`)
  return markup`<div id="filter" class="filter" role="search" aria-label="Narrow what is shown" hidden>
<label><span>Find</span> <input type="search" name="text" placeholder="profile, device, word" autocomplete="off"></label>
<label><span>Platform</span> <select name="platform"><option value="">all</option>${options}</select></label>
<label><span>Show</span> <select name="severity"><option value="">everything</option><option value="warning">errors and warnings</option><option value="error">errors</option></select></label>
<p role="status" class="unit"></p>
</div>\n`
}

/** Of the package's own files, which hold no end of their element. */
const trusted = (text: string): Markup => ({ html: text })

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
