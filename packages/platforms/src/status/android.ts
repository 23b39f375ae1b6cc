import type { AgentErrorCode, ProfileStanding } from '@certfleet/agent-core'
import { type Fact, says } from '../fact.ts'
import type { Os } from '../os.ts'

const states = ['CERT_ENROLLED', 'CERT_INSTALL_REQUESTED', 'CERT_INSTALLING', 'CERT_ACCESS_REQUESTED', 'CERT_ACCESS_GRANTED'] as const

/** How Company Portal calls the steps of a SCEP certificate, in their order. */
export type AndroidState = (typeof states)[number]

const statesBut = (one: (typeof states)[number]) => states.filter((state) => state !== one)

export const androidStatusFacts = {
  states: {
    id: 'android.status.states',
    platforms: ['android'],
    effect: 'Company Portal leads a SCEP certificate through these states; its log names none for an enrolment that failed.',
    value: states,
    alternatives: [],
    source: 'ID-DEL Android log',
    confidence: 'V',
    singleLog: true,
  },
  installed: {
    id: 'android.status.installed',
    platforms: ['android'],
    effect: 'A certificate that is installed is one that apps may use.',
    value: 'CERT_ACCESS_GRANTED',
    alternatives: statesBut('CERT_ACCESS_GRANTED'),
    source: 'ID-DEL Android log',
    confidence: 'I',
  },
  notInstalled: {
    id: 'android.status.not-installed',
    platforms: ['android'],
    effect: 'A certificate that the CA issued and that cannot be installed stays enrolled.',
    value: 'CERT_ENROLLED',
    alternatives: statesBut('CERT_ENROLLED'),
    source: 'ID-DEL Android log',
    confidence: 'I',
  },
  userNeeded: {
    id: 'android.status.user-needed',
    platforms: ['android'],
    effect: 'What waits on the user waits for the installation that the user was asked for.',
    value: 'CERT_INSTALL_REQUESTED',
    alternatives: statesBut('CERT_INSTALL_REQUESTED'),
    source: 'ID-DEL Android log',
    confidence: 'I',
  },
} as const satisfies Record<string, Fact>

/** A type, so that it goes where any JSON goes. */
export type AndroidStatus = {
  /** Absent before there is a certificate: no source names a state for that. */
  readonly state?: AndroidState
}

/** What Company Portal would call a profile that stands so. */
export function androidStatusOf({ status: { code }, certificate }: ProfileStanding, os: Os): AndroidStatus {
  const name = code !== undefined ? androidStateByCode[code] : undefined
  if (name !== undefined && name !== 'none') return { state: says(androidStatusFacts[name], os) }
  return certificate === undefined ? {} : { state: says(androidStatusFacts.installed, os) }
}

/** Of each failure that certfleet foresees. */
export const androidStateByCode = {
  ERR_ALGORITHM_REFUSED: 'none',
  ERR_CA_UNTRUSTED: 'none',
  ERR_CERTIFICATE_MISMATCH: 'notInstalled',
  ERR_CERTIFICATE_REFUSED: 'notInstalled',
  ERR_CERTIFICATE_UNTRUSTED: 'notInstalled',
  ERR_CHALLENGE_UNAVAILABLE: 'none',
  ERR_CLOCK_SKEW: 'none',
  ERR_CMS_DECRYPT: 'none',
  ERR_CMS_INVALID: 'none',
  ERR_DER_MALFORMED: 'none',
  ERR_DEVICE_LOCKED: 'userNeeded',
  ERR_ENROLLMENT_REJECTED: 'none',
  ERR_HTTP_STATUS: 'none',
  ERR_KEY_EXISTS: 'none',
  ERR_KEY_SECRET_REFUSED: 'none',
  ERR_KEY_STORAGE_BUSY: 'none',
  ERR_KEY_STORAGE_FULL: 'none',
  ERR_KEY_STORAGE_LOCKED_OUT: 'none',
  ERR_KEY_STORAGE_UNAVAILABLE: 'none',
  ERR_KEY_UNAVAILABLE: 'none',
  ERR_LIMIT_EXCEEDED: 'none',
  ERR_NETWORK: 'none',
  ERR_PENDING_TIMEOUT: 'none',
  ERR_PFX_INVALID: 'none',
  ERR_PFX_PASSWORD: 'none',
  ERR_PFX_UNAVAILABLE: 'none',
  ERR_POLICY_INVALID: 'none',
  ERR_POLICY_ROLLBACK: 'none',
  ERR_PROFILE_INVALID: 'none',
  ERR_RENEWAL_MISSED: 'none',
  ERR_ROOT_NOT_DEPLOYED: 'none',
  ERR_ROOT_NOT_INSTALLED: 'none',
  ERR_SCEP_MALFORMED: 'none',
  ERR_SCEP_REPLY_MISMATCH: 'none',
  ERR_STATE_BUSY: 'none',
  ERR_STATE_INVALID: 'none',
  ERR_STATE_IO: 'none',
  ERR_UNAUTHORIZED: 'none',
  ERR_UNSUPPORTED: 'none',
  ERR_USER_ACTION_REQUIRED: 'userNeeded',
  ERR_VARIABLE_UNRESOLVED: 'none',
} as const satisfies Record<AgentErrorCode, Exclude<keyof typeof androidStatusFacts, 'states'> | 'none'>
