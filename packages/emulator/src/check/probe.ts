import { createHash } from 'node:crypto'
import { AgentError, formatName, type Instant, type Transport } from '@certfleet/agent-core'
import { type Certificate, isSelfSigned, parseCertificate, sameName } from '@certfleet/agent-core/pki'
import { type CaCertificates, parseCaCertificates, pinCaCertificates } from '@certfleet/agent-core/scep/messages'
import type { ScepIntent, TrustedRootIntent } from '../tenant/index.ts'
import { about } from './shown.ts'
import type { CheckFinding, CheckInput } from './types.ts'

/** What is asked at the same time: other servers' limits are not waited for. */
const mostAtOnce = 8

/**
 * Asks each SCEP server of the export for its CA certificates, one server once, and holds them against the linked root by the agent's own
 * judgement. Nothing else is sent. A server that does not answer is a finding; fails with the signal's reason alone.
 */
export async function probeServers(
  { imported, now }: Pick<CheckInput, 'imported' | 'now'>,
  transport: Transport,
  signal: AbortSignal,
): Promise<readonly CheckFinding[]> {
  const sceps = imported.profiles.filter((profile) => profile.kind === 'scep')
  const urls = [...new Set(sceps.flatMap(({ scepUrls }) => scepUrls))]
  const answers = await askAll(urls, transport, signal)
  const roots = new Map(imported.profiles.flatMap((profile) => (profile.kind === 'trusted-root' ? [[profile.id, profile]] : [])))
  return sceps.flatMap((profile) =>
    [...new Set(profile.scepUrls)].flatMap((url) => {
      const root = 'problem' in profile.link ? undefined : roots.get(profile.link.rootProfileId)
      return judge({ profile, url, root, now }, answers.get(url) as Answer)
    }),
  )
}

/** A GetCACert body that was read, or in one line why there is none. */
type Answer = { readonly body: Uint8Array; readonly ca: CaCertificates } | { readonly problem: string }

async function askAll(urls: readonly string[], transport: Transport, signal: AbortSignal): Promise<ReadonlyMap<string, Answer>> {
  const answers = new Map<string, Answer>()
  const waiting = [...urls]
  const lane = async () => {
    for (let url = waiting.shift(); url !== undefined; url = waiting.shift()) answers.set(url, await ask(url, transport, signal))
  }
  await Promise.all(Array.from({ length: Math.min(mostAtOnce, urls.length) }, lane))
  return answers
}

async function ask(url: string, transport: Transport, signal: AbortSignal): Promise<Answer> {
  try {
    // NDES wants the parameter, whatever it says.
    const { status, body } = await transport.send({ method: 'GET', url: `${url}?operation=GetCACert&message=ca`, headers: {} }, signal)
    return status === 200 ? { body, ca: parseCaCertificates(body) } : { problem: `it answered GetCACert with HTTP status ${status}` }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof AgentError) return { problem: error.message }
    throw error
  }
}

interface Question {
  readonly profile: ScepIntent
  readonly url: string
  /** Undefined: which one it should be is not known, as is told elsewhere. */
  readonly root: TrustedRootIntent | undefined
  readonly now: Instant
}

function judge(question: Question, answer: Answer): readonly CheckFinding[] {
  if ('problem' in answer) return [unreachable(question, answer.problem)]
  const expired = outOfTime(question, answer.ca)
  const { root } = question
  if (root === undefined) return expired
  const refusal = refusalBy(answer.body, root, question.now)
  if (refusal === undefined) return [...expired, ...issuingInsteadOfRoot(question, answer.ca, root)]
  const isOnlyLate = expired.length > 0 && refusalBy(answer.body, root, momentOf(answer.ca, root)) === undefined
  if (isOnlyLate) return expired.map((finding) => ({ ...finding, severity: 'error' }))
  return [...expired, otherRoot(question, answer.ca, root, refusal)]
}

function unreachable({ profile, url }: Question, problem: string): CheckFinding {
  return {
    ...{ id: 'server-unreachable', severity: 'warning', ...about(profile) },
    message: `${shown(url)} gave this machine no CA certificate: ${problem.split('\n', 1)[0]}`,
    action: 'see that it is up; what only devices can reach cannot be probed from here',
    source: urlSource,
  }
}

const urlSource = 'scep-profile.url'

/** Without the query: what stands there may be meant for few. */
function shown(url: string): string {
  return url.split(/[?#]/, 1)[0] as string
}

/** What the agent would say on a device. Undefined: the server leads to that root. */
function refusalBy(body: Uint8Array, { certificate }: TrustedRootIntent, at: Instant): string | undefined {
  try {
    pinCaCertificates(body, { trust: { root: certificate }, at })
    return undefined
  } catch (error) {
    if (error instanceof AgentError) return error.message
    throw error
  }
}

/** When the last of them began: the first moment at which all can be in date. */
function momentOf({ authorities, signers, recipient }: CaCertificates, root: TrustedRootIntent): Instant {
  const all = [parseCertificate(root.certificate), recipient, ...signers, ...authorities]
  return Math.max(...all.map(({ notBefore }) => notBefore))
}

function outOfTime({ profile, url, now }: Question, { authorities, signers, recipient }: CaCertificates): readonly CheckFinding[] {
  return [...new Set([recipient, ...signers, ...authorities])]
    .filter(({ notBefore, notAfter }) => now < notBefore || now > notAfter)
    .map((certificate) => ({
      ...{ id: 'server-certificate-expired', severity: 'warning', ...about(profile) },
      message: `${shown(url)} presents ${nameOf(certificate)}, which is good from ${dayOf(certificate.notBefore)} to ${dayOf(certificate.notAfter)} only`,
      action: 'renew it on the server',
      source: 'profile.root-choice',
    }))
}

/** A path ends there all the same; what fails is a client that looks for the root itself. That of others is told without a probe. */
function issuingInsteadOfRoot(
  { profile, url }: Question,
  { authorities }: CaCertificates,
  root: TrustedRootIntent,
): readonly CheckFinding[] {
  if (root.selfSigned || profile.platform !== 'windows') return []
  const top = authorities.find(isSelfSigned)
  return [
    {
      ...{ id: 'server-other-root', severity: 'warning', ...about(profile) },
      message: `${shown(url)} leads to "${root.displayName}", which is an issuing CA and not the root${top ? ` ${nameOf(top)}` : ''}: Windows holds the thumbprint against the root and can stop with "hash value is not correct"`,
      action: 'link the Trusted profile of the root',
      source: 'windows.csp.ca-thumbprint',
    },
  ]
}

function otherRoot(
  { profile, url }: Question,
  { authorities, ca }: CaCertificates,
  root: TrustedRootIntent,
  refusal: string,
): CheckFinding {
  const top = authorities.find(isSelfSigned) ?? ca
  const linked = parseCertificate(root.certificate)
  const alike = sameName(top.subject, linked.subject) ? ', which has the same name and is another certificate' : ''
  return {
    ...{ id: 'server-other-root', severity: 'error', ...about(profile) },
    message: `${shown(url)} presents ${nameOf(top)} and does not lead to "${root.displayName}", ${nameOf(linked)}${alike}: devices stop before they send a request (${refusal})`,
    action: 'link the Trusted profile whose certificate is the root of that server, or correct the URL',
    source: profile.platform === 'windows' ? 'windows.csp.ca-thumbprint' : 'profile.root-choice',
  }
}

function nameOf({ subject, raw }: Certificate): string {
  return `${formatName(subject)} (SHA-1 ${createHash('sha1').update(raw).digest('hex')})`
}

function dayOf(at: Instant): string {
  return new Date(at).toISOString().slice(0, 10)
}
