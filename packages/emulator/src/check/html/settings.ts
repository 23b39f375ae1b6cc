import { formatName, parseCertificate } from '@certfleet/agent-core/pki'
import { type Markup, markup } from '../../report/html/markup.ts'
import type { AssignmentTarget, CertificateIntent, IntentProfile, ScepIntent, TrustedRootIntent } from '../../tenant/index.ts'
import type { CheckView, ProfileView } from './view.ts'
import { clipped, counted, dayText, familyTexts, messageLength, nameLength } from './words.ts'

type Setting = readonly [name: string, value: Markup | string | undefined]

/** Of a list that may be long. */
const mostNamed = 12

/** What a profile says and whom it is for. */
export function settings(one: ProfileView, view: CheckView): Markup {
  const { profile } = one
  const place = `${clipped(profile.file, nameLength)}${profile.path === '' ? '' : ` ${clipped(profile.path, nameLength)}`}`
  const rows: readonly Setting[] = [
    ['For', familyTexts[profile.family]],
    ['Type', markup`<code>${profile.typeName}</code>`],
    ['Assigned to', assigned(one.targets, view)],
    ...own(profile, view),
    ['Root of', one.rootOf.length === 0 ? undefined : links(one.rootOf, view)],
    ['Used by', consumers(profile, view)],
    ['In the export', place],
    ['Id', markup`<code>${clipped(profile.id, nameLength)}</code>`],
  ]
  const told = rows.filter(([, value]) => value !== undefined)
  return markup`<dl class="facts">${told.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
}

function own(profile: IntentProfile, view: CheckView): readonly Setting[] {
  if (profile.kind === 'invalid') return [['Wrong', clipped(profile.message, messageLength)]]
  if (profile.kind === 'trusted-root') return root(profile)
  const common: readonly Setting[] = [
    ['Certificate of', profile.principal === 'user' ? 'the user' : 'the device'],
    ['Root', rootLink(profile, view)],
    ['Renewal', `when ${profile.renewalThresholdPercent} % of the lifetime is left`],
    ['Key storage', markup`<code>${profile.keyStorage}</code>`],
  ]
  if (profile.kind === 'imported-pfx') return [...common, ['Purpose', profile.intendedPurpose]]
  const names: readonly Setting[] = [
    ['Subject', profile.subjectTemplate === undefined ? profile.subjectNameFormat : code(profile.subjectTemplate)],
    ['Alternative names', altNames(profile.subjectAltNames)],
    ['Lifetime asked for', counted(profile.validity.value, profile.validity.scale.slice(0, -1))],
    ['Extended key usage', listed(profile.extendedKeyUsages)],
  ]
  if (profile.kind === 'scep') return [...common, ...names, ...scep(profile)]
  const { certificationAuthority, certificationAuthorityName, certificateTemplateName } = profile
  const authority = `${certificationAuthorityName} on ${certificationAuthority}`
  return [...common, ...names, ['CA', clipped(authority, messageLength)], ['Template', code(certificateTemplateName)]]
}

function scep({ scepUrls, keyBits, hash, keyUsages }: ScepIntent): readonly Setting[] {
  return [
    ['SCEP servers', listed(scepUrls)],
    ['Key', `RSA, ${keyBits} bits${hash === undefined ? '' : ', SHA-256'}`],
    ['Key usage', listed(keyUsages)],
  ]
}

function root({ certificate, selfSigned, destinationStore }: TrustedRootIntent): readonly Setting[] {
  const { subject, notAfter } = parseCertificate(certificate)
  return [
    ['Certificate', clipped(formatName(subject), messageLength)],
    ['Kind', selfSigned ? 'root' : 'intermediate'],
    ['Valid until', Number.isFinite(notAfter) ? dayText(notAfter) : 'no end'],
    ['Store', destinationStore],
  ]
}

const code = (text: string): Markup => markup`<code>${clipped(text, messageLength)}</code>`

function listed(all: readonly string[]): Markup | undefined {
  if (all.length === 0) return undefined
  const more = all.length > mostNamed ? markup` and ${all.length - mostNamed} more` : undefined
  const shown = all.slice(0, mostNamed).map((text, i) => markup`${i > 0 ? ', ' : undefined}<code>${clipped(text, nameLength * 2)}</code>`)
  return markup`${shown}${more}`
}

function altNames(all: readonly { readonly type: string; readonly value: string }[]): Markup | string {
  return listed(all.map(({ type, value }) => `${type}: ${value}`)) ?? 'none'
}

function rootLink({ link }: CertificateIntent, view: CheckView): Markup | string {
  if ('problem' in link)
    return markup`<span class="fails-text"><span aria-hidden="true">✕</span> ${clipped(link.problem, messageLength)}</span>`
  const linked = view.context.profiles.get(link.rootProfileId)
  return linked ? links([linked], view) : markup`<code>${clipped(link.rootProfileId, nameLength)}</code>`
}

/** Profiles that the page does not show have a name only. */
function links(profiles: readonly IntentProfile[], { anchorOf }: CheckView): Markup {
  const more = profiles.length > mostNamed ? markup` and ${counted(profiles.length - mostNamed, 'more', 'more')}` : undefined
  const shown = profiles.slice(0, mostNamed).map((profile, i) => {
    const [anchor, name] = [anchorOf(profile), clipped(profile.displayName, nameLength)]
    return markup`${i > 0 ? ', ' : undefined}${anchor === undefined ? name : markup`<a href="#${anchor}">${name}</a>`}`
  })
  return markup`${shown}${more}`
}

function consumers({ id }: IntentProfile, { context }: CheckView): string | undefined {
  const all = context.consumers.get(id) ?? []
  if (all.length === 0) return undefined
  const shown = all.slice(0, mostNamed).map(({ displayName }) => clipped(displayName, nameLength))
  return `${shown.join(', ')}${all.length > mostNamed ? ` and ${all.length - mostNamed} more` : ''}`
}

function assigned(targets: readonly AssignmentTarget[], view: CheckView): string {
  if (targets.length === 0) return view.assignmentsKnown ? 'nobody' : 'not told by the export'
  const shown = targets.slice(0, mostNamed).map((target) => targetText(target, view))
  return `${shown.join(', ')}${targets.length > mostNamed ? ` and ${targets.length - mostNamed} more` : ''}`
}

function targetText(target: AssignmentTarget, { context: { tenant, intent } }: CheckView): string {
  if (!('group' in target)) return target.kind === 'allDevices' ? 'all devices' : 'all users'
  const group = tenant?.groups.get(intent?.groupIds.get(target.group) ?? target.group)
  const name = clipped(group?.name ?? target.group, nameLength)
  const members = group ? ` (${counted(group.users.size, 'user')}, ${counted(group.devices.size, 'device')})` : ''
  return `${target.kind === 'exclusionGroup' ? 'not the' : 'the'} group ${name}${members}`
}
