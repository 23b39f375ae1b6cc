import { createHash } from 'node:crypto'
import type { ActionResult, Instant } from '@certfleet/agent-core'

/** What happened, a line each: device, profile, outcome. Never a value that derives from a key, nor a length: those differ from run to run. */
export interface Trace {
  add(what: string, device?: string): void
  /** SHA-256 of all lines so far, lower-case hex. */
  digest(): string
  readonly lines: number
}

export function createTrace(elapsedMs: () => Instant, onLine: (line: string) => void): Trace {
  const hash = createHash('sha256')
  let lines = 0
  return {
    add(what, device) {
      const line = `${stamp(elapsedMs())} ${device ?? 'service'} ${what}`
      hash.update(`${line}\n`)
      lines++
      onLine(line)
    },
    digest: () => hash.copy().digest('hex'),
    get lines() {
      return lines
    },
  }
}

/** `12d 03:04:05.678` */
function stamp(ms: number): string {
  const pad = (value: number, digits = 2) => String(value).padStart(digits, '0')
  const s = Math.floor(ms / 1000)
  return `${Math.floor(s / 86_400)}d ${pad(Math.floor(s / 3600) % 24)}:${pad(Math.floor(s / 60) % 60)}:${pad(s % 60)}.${pad(ms % 1000, 3)}`
}

/** Subjects of roots and keys are fingerprints and labels, which are of no seed. */
const ofProfile: ReadonlySet<ActionResult['kind']> = new Set([
  'enroll',
  'renew',
  'poll',
  'import',
  'end-attempt',
  'fail',
  'release-identity',
  'remove-identity',
])

export function describeResult({ kind, reason, subject, status, code }: ActionResult): string {
  return [kind, ofProfile.has(kind) ? subject : '', reason, status, code ?? ''].filter((part) => part !== '').join(' ')
}
