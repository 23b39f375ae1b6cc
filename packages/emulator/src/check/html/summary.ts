import { type Markup, markup, section, table } from '../../report/html/markup.ts'
import type { Emulation } from '../emulate.ts'
import type { QuestionAnswer } from '../questions.ts'
import { bar, total } from './bars.ts'
import { type CheckView, countsOf } from './view.ts'
import { clipped, counted, momentText, nameLength, outcomeMarks, outcomes, platformTexts, type Severity } from './words.ts'

export interface Besides {
  readonly answers: readonly QuestionAnswer[]
  readonly emulation?: Emulation | undefined
}

type Tone = 'passed' | 'failed' | 'interrupted'

const signs: Readonly<Record<Tone, string>> = { passed: '✓', failed: '✕', interrupted: '!' }

/** What was checked and the verdict, large. */
export function banner(view: CheckView, besides: Besides): Markup {
  const { tone, text } = verdictOf(view, besides)
  const moment = momentText(view.at)
  return markup`<header class="banner ${tone}">
<p class="eyebrow">certfleet check <span aria-hidden="true">·</span> certificate profiles before rollout</p>
<h1><span class="sign" aria-hidden="true">${signs[tone]}</span> <span>${text}</span></h1>
<p class="what">${checkedText(view)} · <time datetime="${moment.slice(0, 10)}">${moment}</time></p>
<ul>${reasons(view, besides).map((reason) => markup`<li>${reason}</li>`)}</ul>
</header>\n`
}

/** One sentence. */
export function verdictOf(view: CheckView, { emulation }: Besides): { readonly tone: Tone; readonly text: string } {
  const { findings, devices, profiles } = view
  const { fails } = countsOf(view.deviceOutcomes.values())
  const broken = profiles.filter(({ worst }) => worst === 'error').length
  const has = (severity: string) => findings.some((finding) => finding.severity === severity)
  if (fails > 0) return { tone: 'failed', text: `${of(fails, devices.length, 'device')} will go without a certificate` }
  if (broken > 0) return { tone: 'failed', text: `${of(broken, profiles.length, 'profile')} cannot work as written` }
  if (has('error')) return { tone: 'failed', text: 'The export has errors' }
  if (profiles.length === 0) return { tone: 'interrupted', text: 'There is no certificate profile to check' }
  if (emulation && emulation.disagreements.length > 0)
    return { tone: 'interrupted', text: 'The check and the emulation disagree: rely on neither yet' }
  if (devices.length === 0)
    return { tone: has('warning') ? 'interrupted' : 'passed', text: 'Nothing stands against the profiles themselves' }
  if (has('warning')) return { tone: 'interrupted', text: 'Every device gets its certificates, not all of them as meant' }
  return { tone: 'passed', text: 'Every device gets its certificates' }
}

function of(some: number, all: number, what: string): string {
  return `${some.toLocaleString('en-US')} of ${counted(all, what)}`
}

function checkedText({ context, profiles, devices, scope }: CheckView): string {
  const files = counted(new Set(profiles.map(({ profile }) => profile.file)).size, 'file')
  const { tenant } = context
  const whom = tenant ? ` for ${counted(devices.length, 'device')} of ${clipped(tenant.file, nameLength)}` : ''
  const only = [scope.platform && platformTexts[scope.platform], scope.device && `device ${clipped(scope.device, nameLength)}`].filter(
    Boolean,
  )
  return `${counted(profiles.length, 'profile')} of ${files}${whom}${only.length > 0 ? ` (only ${only.join(', ')})` : ''}`
}

function reasons(view: CheckView, { answers, emulation }: Besides): readonly (Markup | string)[] {
  const { findings, context } = view
  const unread = findings.filter(({ id }) => id === 'file-malformed' || id === 'links-file-invalid').length
  const open = answers.filter(({ missing }) => missing !== undefined).length
  return [
    findingsReason(view),
    ...(unread > 0 ? [`${counted(unread, 'file')} could not be read: what is in there was not checked.`] : []),
    ...(context.tenant ? [] : ['No devices and users were given: this is what the profiles say by themselves.']),
    ...(open > 0 ? [markup`<a href="#questions">${counted(open, 'question')}</a> cannot be answered in full by what is known.`] : []),
    ...(emulation ? [emulationReason(emulation)] : []),
  ]
}

/** As the page lists them, and as `--json` counts them. */
function findingsReason({ findings, groups }: CheckView): Markup {
  const count = (severity: Severity) => groups.filter(({ finding }) => finding.severity === severity).length
  const single = findings.filter(({ severity }) => severity !== 'info').length
  const listed = count('error') + count('warning')
  const byDevice = single > listed ? ` (${single.toLocaleString('en-US')} counted device by device)` : ''
  return markup`<a href="#findings">${counted(count('error'), 'error')} and ${counted(count('warning'), 'warning')}</a>${byDevice}, below with what will happen and what to do.`
}

function emulationReason({ devices, disagreements }: Emulation): Markup {
  const outcome =
    disagreements.length === 0 ? 'the same came out' : markup`<a href="#emulation">${counted(disagreements.length, 'outcome')}</a> differed`
  return markup`Tried out: ${counted(devices, 'emulated device')} enrolled with these profiles, and ${outcome}.`
}

/** The figures that are asked for first. */
export function tiles(view: CheckView): Markup {
  return markup`<dl class="tiles" aria-label="In short">${profileTiles(view)}${view.context.tenant ? deviceTiles(view) : undefined}</dl>\n`
}

function profileTiles({ profiles, platforms, context }: CheckView): readonly Markup[] {
  const are = (worst: Severity) => profiles.filter((profile) => profile.worst === worst).length
  const [broken, warned] = [are('error'), are('warning')]
  const toMend = `${broken === 1 ? 'profile' : 'profiles'} to put right`
  const first = [
    tile('Profiles', profiles.length, `on ${counted(platforms.length, 'platform')}`),
    tile('With errors', broken, toMend, broken > 0),
  ]
  if (context.tenant) return first
  const rest = profiles.length - broken - warned
  return [...first, tile('With warnings', warned, 'and no error'), tile('Without', rest, 'nothing against them')]
}

function deviceTiles({ deviceOutcomes, devices }: CheckView): readonly Markup[] {
  const { fails, warned, fine } = countsOf(deviceOutcomes.values())
  return [
    tile('Devices', devices.length, 'of the tenant'),
    tile('Go without', fails, 'at least one certificate', fails > 0),
    tile('With a warning', warned, 'works, not as meant'),
    tile('As meant', fine, 'nothing found'),
  ]
}

function tile(name: string, value: number, note: string, isBad = false): Markup {
  return markup`<div class="tile${isBad ? ' bad' : ''}"><dt>${name}</dt><dd class="value">${value.toLocaleString('en-US')}</dd><dd class="note">${note}</dd></div>`
}

/** One bar a platform, all to one scale. */
export function platformBars(view: CheckView): Markup | undefined {
  if (view.devices.length === 0) return undefined
  const rows = view.platforms.map((platform) => {
    const devices = view.devices.filter((device) => device.platform === platform)
    return { platform, all: devices.length, counts: countsOf(devices.map((device) => view.deviceOutcomes.get(device))) }
  })
  const most = Math.max(...rows.map(({ all }) => all))
  const figures = ['fails', 'warned', 'fine'] as const
  const columns = [
    { head: 'Platform' },
    { head: 'Devices', isFigure: true },
    { head: 'Share' },
    ...figures.map((outcome) => ({ head: outcomeMarks[outcome].one, isFigure: true }) as const),
    { head: 'No profile', isFigure: true },
  ] as const
  const cells = rows.map(({ platform, all, counts }) => [
    platformTexts[platform],
    all.toLocaleString('en-US'),
    bar(counts, most),
    ...figures.map((outcome) => figure(counts[outcome], outcome)),
    (all - total(counts) + counts.beyond).toLocaleString('en-US'),
  ])
  const note = markup`<p class="note">Each device once, by the worst that becomes of it.</p>`
  return section('platforms', 'Devices by platform', table({ caption: 'Devices by platform', columns, rows: cells }), note)
}

function figure(count: number, outcome: 'fails' | 'warned' | 'fine'): Markup {
  if (count === 0) return markup`<span class="nil">0</span>`
  return markup`<span class="${outcome}-text"><span aria-hidden="true">${outcomeMarks[outcome].sign}</span> ${count.toLocaleString('en-US')}</span>`
}

const meanings = {
  fails: 'The device ends without the certificate or root.',
  warned: 'It works, but otherwise than meant, or only sometimes.',
  fine: 'Nothing was found that speaks against it.',
  beyond: 'The profile is not for the OS version of the device, which is no error.',
} as const

export function legend(): Markup {
  const rows = outcomes.map(
    (outcome) =>
      markup`<div><dt><span class="chip ${outcome}"><span aria-hidden="true">${outcomeMarks[outcome].sign}</span> ${outcomeMarks[outcome].one}</span></dt><dd>${meanings[outcome]}</dd></div>`,
  )
  return markup`<dl class="legend" aria-label="Legend">${rows}</dl>\n`
}
