import { createHash } from 'node:crypto'
import type { AgentErrorCode, IssuanceState, ProfileStanding } from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { type Fact, says } from '../fact.ts'
import type { Os } from '../os.ts'
import { windowsErrorByCode, windowsErrors } from './windows-errors.ts'

const every = ['windows', 'windows-phone'] as const

export const windowsStatusFacts = {
  status: {
    id: 'windows.status.values',
    platforms: every,
    effect: 'Status of a SCEP node is 1 for success, 2 for pending, 16 for failed and 32 for unknown.',
    value: { success: 1, pending: 2, failed: 16, unknown: 32 },
    source: 'W-CCI Status',
    confidence: 'V',
  },
  thumbprint: {
    id: 'windows.status.thumbprint',
    platforms: every,
    effect:
      'CertThumbprint is empty once the certificate expired, its key is gone or its chain does not stand; a chain is not judged again here.',
    value: '',
    source: 'W-DDF CertThumbprint',
    confidence: 'V',
  },
  pfxStatus: {
    id: 'windows.status.pfx',
    platforms: every,
    since: '10',
    effect: 'Status of a PFX node is 0 for success, and otherwise the error of the import itself.',
    value: 0,
    source: 'W-CCI PFXCertInstall Status',
    confidence: 'V',
  },
  ndesCode: {
    id: 'windows.error.ndes',
    platforms: every,
    effect: 'Where a refusal by NDES carries its HRESULT (1.3.6.1.4.1.311.21.33), ErrorCode is taken to be that one.',
    value: true,
    source: 'GRAD event 87; SSCEP #59',
    confidence: 'I',
  },
} as const satisfies Record<string, Fact>

/** The nodes of `ClientCertificateInstall`, by their names there. A type, so that it goes where any JSON goes. */
export type WindowsStatus = {
  /** Of a PFX absent until it was imported or failed. */
  readonly Status?: number
  /** HRESULT of the last failure, signed as the node has it; 0 for none. */
  readonly ErrorCode?: number
  /** The error as people look it up: `0x80091007`. Absent where there is none. */
  readonly hresult?: string
  /** SHA-1, upper-case hex. */
  readonly CertThumbprint?: string
  readonly Thumbprint?: string
  readonly RespondentServerUrl?: string
}

/** What Windows would show of a profile that stands so. */
export function windowsStatusOf(standing: ProfileStanding, os: Os): WindowsStatus {
  const error = errorOf(standing, os)
  const told = error === 0 ? {} : { hresult: hexOf(error) }
  if (standing.isPfx) return { ...pfxStatus(standing, error), ...told }
  const { respondentUrl } = standing
  return {
    Status: windowsStatusFacts.status.value[statusOf(standing)],
    ErrorCode: error | 0,
    ...told,
    CertThumbprint: thumbprintOf(standing),
    ...(respondentUrl !== undefined && { RespondentServerUrl: respondentUrl }),
  }
}

const statusByState = {
  unknown: 'unknown',
  requestCreationFailed: 'failed',
  requestSubmitFailed: 'failed',
  issueFailed: 'failed',
  issuePending: 'pending',
  issued: 'pending',
  responseProcessingFailed: 'failed',
  installed: 'success',
  renewalRequested: 'pending',
} as const satisfies Record<IssuanceState, keyof typeof windowsStatusFacts.status.value>

/** A request that failed is tried again by the service alone, so that of its failure more is seen than of the certificate before it. */
function statusOf({ status: { state, code } }: ProfileStanding): keyof typeof windowsStatusFacts.status.value {
  return code !== undefined && state !== 'installed' && state !== 'issuePending' ? 'failed' : statusByState[state]
}

function pfxStatus(standing: ProfileStanding, error: number): WindowsStatus {
  const { certificate } = standing
  if (error !== 0) return { Status: error | 0, Thumbprint: thumbprintOf(standing) }
  return certificate === undefined ? {} : { Status: windowsStatusFacts.pfxStatus.value, Thumbprint: thumbprintOf(standing) }
}

function thumbprintOf({ certificate, keyUsable, at }: ProfileStanding): string {
  if (certificate === undefined || !keyUsable || parseCertificate(certificate).notAfter < at) return windowsStatusFacts.thumbprint.value
  return createHash('sha1').update(certificate).digest('hex').toUpperCase()
}

/** Unsigned; 0 for none. */
function errorOf({ status: { code, message = '' } }: ProfileStanding, os: Os): number {
  if (code === undefined) return 0
  const own = code === 'ERR_ENROLLMENT_REJECTED' && says(windowsStatusFacts.ndesCode, os) ? ndesCodeIn(message) : undefined
  return own ?? says(windowsErrors[nameOf(code, message)], os)
}

function nameOf(code: AgentErrorCode, message: string): keyof typeof windowsErrors {
  return code === 'ERR_NETWORK' && isTls(message) ? 'tls' : windowsErrorByCode[code]
}

/** As the agent tells it: last of what the CA said. */
function ndesCodeIn(message: string): number | undefined {
  const [, hex] = /(?:^|[:,] )0x([0-9a-f]{8})$/.exec(message) ?? []
  return hex === undefined ? undefined : Number.parseInt(hex, 16)
}

/** The agent's network failures end in the code of the system's or of its TLS. */
function isTls(message: string): boolean {
  return /: (?:ERR_TLS_|ERR_SSL_|EPROTO|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)\w*$/.test(message)
}

const hexOf = (error: number): string => `0x${(error >>> 0).toString(16).padStart(8, '0')}`
