import type { AgentErrorCode } from '@certfleet/agent-core'
import {
  androidStateByCode,
  androidStatusFacts,
  appleErrorByCode,
  appleErrorChain,
  appleErrors,
  issuanceStates,
  parseOs,
  windowsErrorByCode,
  windowsErrors,
} from '@certfleet/platforms'
import { table } from './page-parts.ts'

/** What each OS shows of each error code, and who knows which of Graph's states, as a Markdown page. */
export function osErrorsPage(): string {
  return `${[introduction, errorTable(), states, stateTable()].join('\n\n')}\n`
}

const introduction = `# Errors as each OS reports them

Generated from \`packages/platforms/src/status\` by \`npm run docs\`; change the rows, not this page.

What Windows, iOS and macOS, and Android would show of a failure that certfleet tells by a [code of its own](errors.md). That these codes exist is
sourced; which failure leads to which is mostly inferred. Each is a fact of [platforms.md](platforms.md), by its code
(\`windows.error.0x80091007\`, \`apple.error.22005\`), that \`factOverrides\` can put right.

- Windows: \`Status\` 16 with this \`ErrorCode\`. A refusal that carries an HRESULT, as those of NDES do, shows that one; a failure of TLS shows
  \`${windowsErrors.tls.id.split('.').at(-1)}\`; a PFX has the code itself as \`Status\`.
- iOS and macOS: the innermost of the \`ErrorChain\`.
- Android: Company Portal's state. No source names one for an enrolment that failed.`

function errorTable(): string {
  const rows = (Object.keys(windowsErrorByCode) as AgentErrorCode[]).map((code) => [
    `\`${code}\``,
    windows(code),
    apple(code),
    android(code),
  ])
  return table(['Code', 'Windows', 'iOS, macOS', 'Android'], rows)
}

function windows(code: AgentErrorCode): string {
  return `\`0x${windowsErrors[windowsErrorByCode[code]].value.toString(16).padStart(8, '0')}\``
}

const ios = parseOs('ios', '18')

function apple(code: AgentErrorCode): string {
  const inner = appleErrorChain(appleErrors[appleErrorByCode[code]].value, ios).at(-1)
  return inner ? `${inner.ErrorDomain} ${inner.ErrorCode}: ${inner.USEnglishDescription}` : ''
}

function android(code: AgentErrorCode): string {
  const name = androidStateByCode[code]
  return name === 'none' ? '' : `\`${androidStatusFacts[name].value}\``
}

const states = `## Where a certificate stands

Graph's \`certificateIssuanceState\`, on every platform: who can know each of them. What nobody knows never shows, here or in the lab.`

function stateTable(): string {
  const rows = Object.entries(issuanceStates).map(([state, { value, knownBy, when }]) => [String(value), `\`${state}\``, knownBy, when])
  return table(['Value', 'State', 'Known by', 'When'], rows)
}
