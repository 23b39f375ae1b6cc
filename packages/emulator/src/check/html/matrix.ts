import { type Markup, markup, section, wide } from '../../report/html/markup.ts'
import { bar, chips, total } from './bars.ts'
import { groupedBy } from './groups.ts'
import { legend } from './summary.ts'
import type { CheckView, ProfileView } from './view.ts'
import { clipped, counted, kindTexts, nameLength, platformTexts, severityMarks } from './words.ts'

/** Profiles by platform: how many devices each reaches, and what becomes of it there. */
export function matrix(view: CheckView): Markup {
  if (view.profiles.length === 0) return section('profiles', 'Profiles', markup`<p class="none">The export holds none.</p>`)
  const heads = view.platforms.map((platform) => markup`<th scope="col">${platformTexts[platform]}</th>`)
  const kinds = groupedBy(view.profiles, ({ profile }) => profile.kind)
  const bodies = [...kinds].map(([kind, profiles]) => kindGroup(kindTexts[kind], profiles, view))
  const share = view.devices.length > 0 ? markup`<th scope="col" class="share-head">Devices</th>` : undefined
  const caption = 'Profiles by platform'
  const whole = markup`<table class="matrix"><caption>${caption}</caption><thead><tr><th scope="col">Profile</th>${heads}${share}<th scope="col">Profile itself</th></tr></thead>${bodies}</table>`
  const none = markup`<p class="none unmatched" hidden>No profile matches.</p>`
  return section('profiles', 'Profiles by platform', view.devices.length > 0 ? legend() : undefined, wide(whole, caption), none)
}

function kindGroup(kind: string, profiles: readonly ProfileView[], view: CheckView): Markup {
  const width = view.platforms.length + (view.devices.length > 0 ? 3 : 2)
  return markup`<tbody><tr class="kind"><th scope="rowgroup" colspan="${width}">${kind} <span class="unit">${counted(profiles.length, 'profile')}</span></th></tr>\n${profiles.map((profile) => row(profile, view))}</tbody>\n`
}

function row(profile: ProfileView, view: CheckView): Markup {
  const { platform, displayName } = profile.profile
  const cells = view.platforms.map((one) =>
    one === platform ? markup`<td><a class="cell" href="#${profile.anchor}">${reachText(profile, view)}</a></td>` : markup`<td></td>`,
  )
  const share = view.devices.length > 0 ? markup`<td class="share-cell">${bar(profile.counts, total(profile.counts))}</td>` : undefined
  return markup`<tr data-platform="${platform}" data-worst="${profile.worst ?? 'none'}"><th scope="row"><a href="#${profile.anchor}">${clipped(displayName, nameLength)}</a> <span class="unit narrow">${platformTexts[platform]}</span></th>${cells}${share}<td>${itself(profile)}</td></tr>\n`
}

function reachText(profile: ProfileView, { devices, assignmentsKnown }: CheckView): Markup | string {
  if (!assignmentsKnown) return 'in the export'
  if (devices.length === 0) return profile.targets.length > 0 ? 'assigned' : 'not assigned'
  return total(profile.counts) === 0 ? 'reaches no device' : chips(profile.counts)
}

/** What stands against it wherever it goes; what is of single devices is counted in the cells. */
function itself({ findings }: ProfileView): Markup {
  const wide = findings.filter(({ device }) => device === undefined)
  const marks = (['error', 'warning'] as const).flatMap((severity) => {
    const count = wide.filter((finding) => finding.severity === severity).length
    if (count === 0) return []
    const { sign, one, many } = severityMarks[severity]
    const text = `${count} ${(count === 1 ? one : many).toLowerCase()}`
    return [markup`<span class="chip is-${severity}"><span aria-hidden="true">${sign}</span> ${text}</span> `]
  })
  return marks.length === 0
    ? markup`<span class="nil"><span aria-hidden="true">–</span><span class="unseen">nothing</span></span>`
    : markup`${marks}`
}
