import { type Markup, markup, table } from '../../report/html/markup.ts'
import type { CheckFinding } from '../types.ts'
import { bar, chips, total } from './bars.ts'
import { findingBody } from './findings.ts'
import { findingGroups, groupedBy } from './groups.ts'
import type { DeviceOutcome } from './outcomes.ts'
import { settings } from './settings.ts'
import type { CheckView, ProfileView } from './view.ts'
import { clipped, counted, kindTexts, nameLength, outcomeMarks, platformTexts, severities, severityMarks, topicText } from './words.ts'

/** All of one profile; printed, it begins a page. */
export function profilePage(one: ProfileView, view: CheckView): Markup {
  const { profile, anchor, counts } = one
  const reach = total(counts) === 0 ? undefined : markup`<div class="reach">${bar(counts, total(counts))}<p>${chips(counts)}</p></div>`
  return markup`<section class="profile" id="${anchor}" aria-labelledby="${anchor}-name" tabindex="-1" data-platform="${profile.platform}" data-worst="${one.worst ?? 'none'}">
<p class="eyebrow">${platformTexts[profile.platform]} <span aria-hidden="true">·</span> ${kindTexts[profile.kind]} <a class="back" href="#profiles">All profiles</a></p>
<h2 id="${anchor}-name">${clipped(profile.displayName, nameLength * 3)}</h2>
${reach}${settings(one, view)}${findings(one, view)}${devices(one, view)}${names(one, view)}</section>\n`
}

function findings({ findings: all }: ProfileView, view: CheckView): Markup {
  if (all.length === 0) return markup`<h3>Findings</h3><p class="none">Nothing was found that speaks against it.</p>`
  const groups = findingGroups(all, view.profileOf)
  const ordered = severities.flatMap((severity) => groups.filter(({ finding }) => finding.severity === severity))
  const left = ordered.length - view.limits.findings
  const entries = ordered.slice(0, view.limits.findings).map((group) => {
    const { id, severity } = group.finding
    const { sign, one } = severityMarks[severity]
    return markup`<li class="entry is-${severity}"><p class="about"><span class="chip is-${severity}"><span aria-hidden="true">${sign}</span> ${one}</span> ${topicText(id)}</p>${findingBody(group, view)}</li>\n`
  })
  const rest = left > 0 ? markup`<p class="note">and ${counted(left, 'more', 'more')}; <code>--json</code> lists them all</p>` : undefined
  return markup`<h3>Findings <span class="unit">${ordered.length.toLocaleString('en-US')}</span></h3><ul class="entries">${entries}</ul>${rest}`
}

function devices({ devices: all, profile, findings: said }: ProfileView, view: CheckView): Markup | undefined {
  if (view.devices.length === 0) return undefined
  if (all.length === 0) return markup`<h3>Devices</h3><p class="none">It reaches none.</p>`
  const byDevice = groupedBy(said, ({ device }) => device)
  const wide = byDevice.get(undefined) ?? []
  const rows = all
    .slice(0, view.limits.devices)
    .map((outcome) => deviceRow(outcome, [...wide, ...(byDevice.get(outcome.device.id) ?? [])], view))
  const columns = ['Device', 'User', 'OS', 'Reached as', 'What becomes of it', 'Why'].map((head) => ({ head }))
  const title = `${platformTexts[profile.platform]} devices`
  const rest = more(all.length - rows.length, 'devices; those with errors came first')
  return markup`<h3>${title} <span class="unit">${all.length.toLocaleString('en-US')}</span></h3>${table({ caption: title, columns, rows })}${rest}`
}

function deviceRow({ device, outcome, assignedTo, reason }: DeviceOutcome, said: readonly CheckFinding[], view: CheckView) {
  const { sign, one } = outcomeMarks[outcome]
  const user = device.user === undefined ? 'none' : (view.context.tenant?.users.get(device.user)?.upn ?? device.user)
  const told = [...new Set(said.filter(({ severity }) => severity !== 'info').map(({ id }) => topicText(id)))]
  return [
    view.labelOf(device.id),
    clipped(user, nameLength),
    device.osVersion,
    assignedTo.join(', '),
    markup`<span class="chip ${outcome}"><span aria-hidden="true">${sign}</span> ${one}</span>`,
    clipped(reason ?? told.join('; '), nameLength * 2),
  ]
}

function names({ names: all }: ProfileView, view: CheckView): Markup | undefined {
  if (all.length === 0) return undefined
  const rows = all
    .slice(0, view.limits.names)
    .map(({ device, message }) => [device === undefined ? 'every device' : view.labelOf(device), clipped(message, nameLength * 3)])
  const columns = [{ head: 'Device' }, { head: 'Subject and alternative names' }]
  const title = 'Names that devices send'
  return markup`<h3>${title} <span class="unit">${all.length.toLocaleString('en-US')}</span></h3>${table({ caption: title, columns, rows })}${more(all.length - rows.length, 'devices')}`
}

function more(left: number, what: string): Markup | undefined {
  return left > 0 ? markup`<p class="note">and ${left.toLocaleString('en-US')} more ${what}</p>` : undefined
}
