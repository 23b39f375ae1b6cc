import type { CheckFinding, CheckResult, Emulation, QuestionAnswer } from '../check/index.ts'

/** What `--json` prints. */
export function checkJson(
  { context, findings }: CheckResult,
  answers: readonly QuestionAnswer[],
  emulation: Emulation | undefined,
): object {
  const profiles = context.imported.profiles.map(({ id, displayName, kind, platform, family, file }) => ({
    ...{ id, displayName, kind, platform, family, file },
  }))
  return {
    profiles,
    findings,
    errors: count(findings, 'error'),
    questions: answers,
    ...(emulation && {
      emulation: { devices: emulation.devices, disagreements: emulation.disagreements, notEmulated: emulation.notEmulated },
    }),
  }
}

/**
 * For people: the profiles, the findings with those of many devices put together, what stays open, and how many there are of all. What each
 * device sends is told where one was chosen: of all it would bury the rest.
 */
export function checkText(
  result: CheckResult,
  answers: readonly QuestionAnswer[],
  emulation: Emulation | undefined,
  device: string | undefined,
): string {
  const { profiles } = result.context.imported
  const shown = device === undefined ? result.findings.filter(({ id }) => id !== 'names-sent') : result.findings
  const hidden = result.findings.length - shown.length
  return [
    ...profiles.map(({ kind, platform, displayName, file }) => `${kind}  ${platform}  "${displayName}"  ${file}\n`),
    profiles.length === 0 ? nothingRead : '',
    findingsText(shown),
    hidden > 0 ? `names  what ${hidden} requests say exactly: --json, --html, or --device ID\n` : '',
    openText(answers),
    emulation ? emulationText(emulation) : '',
    `${profiles.length} profiles, ${countsText(result.findings)}\n`,
  ].join('')
}

const nothingRead = 'nothing of it is a certificate profile; --how-to-export prints a script that exports them\n'

export function diffText(findings: readonly CheckFinding[]): string {
  return `${findingsText(findings)}${countsText(findings)}\n`
}

function countsText(findings: readonly CheckFinding[]): string {
  return `${findings.length} findings, ${count(findings, 'error')} errors`
}

const severities = ['error', 'warning', 'info'] as const
const maxDevicesShown = 3

function findingsText(findings: readonly CheckFinding[]): string {
  const groups = severities.flatMap((severity) => [...grouped(findings.filter((finding) => finding.severity === severity)).values()])
  return groups.map(groupText).join('')
}

/** What differs by nothing but its device is one line. */
function grouped(findings: readonly CheckFinding[]): ReadonlyMap<string, readonly CheckFinding[]> {
  const groups = new Map<string, CheckFinding[]>()
  for (const finding of findings) {
    const { id, profileId, profile, device, file, path, message } = finding
    const place = device === undefined ? [file, path, message] : [device && message.replaceAll(device, '')]
    const key = JSON.stringify([id, profileId ?? profile, ...place])
    const group = groups.get(key)
    if (group) group.push(finding)
    else groups.set(key, [finding])
  }
  return groups
}

function groupText(group: readonly CheckFinding[]): string {
  const [{ id, severity, profile, file, path, message, action, source, shown, emulation }] = group as [CheckFinding]
  const devices = group.flatMap(({ device }) => device ?? [])
  const who = devices.length === 0 ? '' : `${devicesText(devices)}: `
  const place = file === undefined ? '' : `${file}${path ? ` ${path}` : ''}: `
  const more = [
    shown && `  ${shown}\n`,
    action && `  ${action}\n`,
    emulation && `  the emulation ${emulation === 'confirmed' ? 'confirms' : 'refutes'} it\n`,
  ]
  return `${severity}  ${who}${place}${profile ? `"${profile}": ` : ''}${message} [${id}${source ? `; ${source}` : ''}]\n${more.filter(Boolean).join('')}`
}

function devicesText(devices: readonly string[]): string {
  const shown = devices.slice(0, maxDevicesShown).join(', ')
  return devices.length > maxDevicesShown ? `${shown} and ${devices.length - maxDevicesShown} more` : shown
}

function openText(answers: readonly QuestionAnswer[]): string {
  return answers
    .flatMap(({ question, answered, missing }) =>
      missing === undefined ? [] : [`open  ${question} ${answered === 'no' ? 'Not answered' : 'Answered in part'}: ${missing}\n`],
    )
    .join('')
}

function emulationText({ devices, disagreements, notEmulated }: Emulation): string {
  const lines = disagreements.map(
    ({ device, profile, predicted, emulated }) =>
      `disagreement  ${device}: "${profile}": the check says ${predicted}; emulated: ${emulated}\n`,
  )
  const beyond = notEmulated > 0 ? `, ${notEmulated} findings not emulated` : ''
  return `${lines.join('')}${devices} devices emulated, ${disagreements.length} disagreements${beyond}\n`
}

const count = (findings: readonly CheckFinding[], severity: CheckFinding['severity']): number =>
  findings.filter((finding) => finding.severity === severity).length
