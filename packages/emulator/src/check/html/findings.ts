import { type Markup, markup, section } from '../../report/html/markup.ts'
import { type FindingGroup, groupedBy } from './groups.ts'
import type { CheckView } from './view.ts'
import { clipped, counted, messageLength, nameLength, platformTexts, type Severity, severities, severityMarks, topicText } from './words.ts'

/** Of one kind: seen at once, and listed at all. */
const [mostSeen, mostListed] = [8, 60]
/** Devices of one finding: named at once, and at all. */
const [fewDevices, mostDevices] = [6, 200]

/** By severity, then by what it is about; those of many devices are one. */
export function findingList(view: CheckView): Markup {
  const { groups } = view
  if (groups.length === 0) return section('findings', 'Findings', markup`<p class="none">None.</p>`)
  const lists = severities.map((severity) =>
    severityList(
      severity,
      groups.filter(({ finding }) => finding.severity === severity),
      view,
    ),
  )
  return section('findings', 'Findings', lists, markup`<p class="none unmatched" hidden>No finding matches.</p>`)
}

function severityList(severity: Severity, groups: readonly FindingGroup[], view: CheckView): Markup | undefined {
  if (groups.length === 0) return undefined
  const { sign, one, many } = severityMarks[severity]
  const topics = [...groupedBy(groups, ({ finding }) => finding.id)]
  return markup`<div class="severity is-${severity}"><h3 id="findings-${severity}"><span class="sign" aria-hidden="true">${sign}</span> ${groups.length === 1 ? one : many} <span class="unit">${groups.length.toLocaleString('en-US')}</span></h3>\n${topics.map(([, topic]) => topicList(topic, view))}</div>\n`
}

function topicList(groups: readonly FindingGroup[], view: CheckView): Markup {
  const [{ finding }] = groups as [FindingGroup]
  const entry = (group: FindingGroup) => findingEntry(group, view)
  const [seen, folded] = [groups.slice(0, mostSeen), groups.slice(mostSeen, mostListed)]
  const left = groups.length - mostListed
  const more = markup`<details><summary>${counted(folded.length, 'more such finding')}</summary><ul class="entries">${folded.map(entry)}</ul></details>`
  const rest = markup`<p class="note">and ${left.toLocaleString('en-US')} more, on the pages of their profiles; <code>--json</code> lists them all</p>`
  return markup`<div class="topic"><h4>${topicText(finding.id)} <code>${finding.id}</code></h4><ul class="entries">${seen.map(entry)}</ul>${folded.length > 0 ? more : undefined}${left > 0 ? rest : undefined}</div>\n`
}

function findingEntry(group: FindingGroup, view: CheckView): Markup {
  const { finding, profile } = group
  const about = profile
    ? markup`<a href="#${view.anchorOf(profile)}">${clipped(profile.displayName, nameLength)}</a> <span class="unit">${platformTexts[profile.platform]}</span>`
    : finding.profile !== undefined && clipped(finding.profile, nameLength)
  const heading = markup`<p class="about">${about || 'The whole check'}</p>`
  return markup`<li class="entry is-${finding.severity}" data-severity="${finding.severity}"${profile ? markup` data-platform="${profile.platform}"` : undefined}>${heading}${findingBody(group, view)}</li>\n`
}

/** What happens, to whom and why, and what to do. */
export function findingBody({ finding, devices, shown, confirmed, refuted }: FindingGroup, view: CheckView): Markup {
  const { message, action, source, file, path } = finding
  const place =
    file === undefined ? undefined : markup`${clipped(file, nameLength)}${path && markup` <code>${clipped(path, nameLength)}</code>`}`
  const points: readonly (readonly [string, Markup | string | undefined])[] = [
    ['Devices', devices.length === 0 ? undefined : deviceNames(devices, view)],
    ['What to do', action && clipped(action, messageLength)],
    ['The device shows', shownText(shown)],
    ['Emulation', emulationText(confirmed, refuted)],
    ['Where', place],
    ['Source', source && markup`<code>${clipped(source, nameLength)}</code>`],
  ]
  const told = points.filter(([, text]) => text !== undefined && text !== '')
  return markup`<p class="message">${clipped(message, messageLength)}</p><dl class="points">${told.map(([name, text]) => markup`<div><dt>${name}</dt><dd>${text}</dd></div>`)}</dl>`
}

function shownText(shown: readonly string[]): string | undefined {
  if (shown.length === 0) return undefined
  const more = shown.length > 3 ? `; and ${shown.length - 3} more texts` : ''
  return `${shown
    .slice(0, 3)
    .map((text) => clipped(text, messageLength / 3))
    .join('; ')}${more}`
}

function deviceNames(devices: readonly string[], { labelOf }: CheckView): Markup | string {
  const few = devices.slice(0, fewDevices).map(labelOf).join(', ')
  if (devices.length === 1) return few
  if (devices.length <= fewDevices) return `${devices.length}: ${few}`
  const rest = devices.slice(fewDevices, mostDevices).map(labelOf).join(', ')
  const left = devices.length > mostDevices ? ` and ${counted(devices.length - mostDevices, 'more', 'more')}` : ''
  return markup`${devices.length.toLocaleString('en-US')}: ${few}<details><summary>and ${counted(devices.length - fewDevices, 'more', 'more')}</summary>${rest}${left}</details>`
}

function emulationText(confirmed: number, refuted: number): Markup | undefined {
  if (confirmed + refuted === 0) return undefined
  const part = (count: number, kind: 'fine' | 'fails', sign: string, word: string) =>
    count === 0
      ? undefined
      : markup`<span class="chip ${kind}"><span aria-hidden="true">${sign}</span> ${word} on ${counted(count, 'device')}</span> `
  return markup`${part(confirmed, 'fine', '✓', 'confirmed')}${part(refuted, 'fails', '✕', 'refuted')}`
}
