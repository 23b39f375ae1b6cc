import type { ProfileStanding } from '@certfleet/agent-core'
import { type Os, type PlatformName, systemTitles } from '../os.ts'
import { type AndroidStatus, androidStatusFacts, androidStatusOf } from './android.ts'
import { type AppleStatus, appleStatusFacts, appleStatusOf } from './apple.ts'
import { appleErrors } from './apple-errors.ts'
import { issuanceFacts } from './issuance-states.ts'
import { type WindowsStatus, windowsStatusFacts, windowsStatusOf } from './windows.ts'
import { windowsErrors } from './windows-errors.ts'

/** What an OS itself shows of a profile, by the names that it uses. */
export type OsStatus = WindowsStatus | AppleStatus | AndroidStatus

export const statusFacts = [
  ...Object.values(windowsStatusFacts),
  ...Object.values(windowsErrors),
  ...Object.values(appleStatusFacts),
  ...Object.values(appleErrors),
  ...Object.values(androidStatusFacts),
  ...Object.values(issuanceFacts),
]

/** What the OS would show of a profile that stands so: its own status and error. Pure. */
export function osStatusOf(standing: ProfileStanding, os: Os): OsStatus {
  return shown[os.platform].status(standing, os)
}

/** The same as half a line of text, `Windows would show: Status 16, ErrorCode 0x80091007`. */
export function osStatusText(standing: ProfileStanding, os: Os): string {
  return `${systemTitles[os.system]} would show: ${shown[os.platform].text(standing, os)}`
}

interface Shown {
  status(standing: ProfileStanding, os: Os): OsStatus
  text(standing: ProfileStanding, os: Os): string
}

const apple: Shown = { status: appleStatusOf, text: (standing, os) => appleText(appleStatusOf(standing, os)) }

const shown: Readonly<Record<PlatformName, Shown>> = {
  ios: apple,
  macos: apple,
  android: {
    status: androidStatusOf,
    text: (standing, os) => androidStatusOf(standing, os).state ?? 'no state, since none is known of it',
  },
  windows: { status: windowsStatusOf, text: (standing, os) => windowsText(windowsStatusOf(standing, os)) },
}

function windowsText({ Status, ErrorCode, hresult }: WindowsStatus): string {
  if (Status === undefined) return 'nothing yet'
  if (ErrorCode === undefined) return `Status ${hresult ?? Status}`
  return hresult === undefined ? `Status ${Status}` : `Status ${Status}, ErrorCode ${hresult}`
}

function appleText({ Status, ErrorChain = [] }: AppleStatus): string {
  const inner = ErrorChain.at(-1)
  if (inner === undefined) return Status ?? 'nothing yet'
  return `${inner.ErrorDomain} ${inner.ErrorCode}, ${inner.USEnglishDescription}`
}
