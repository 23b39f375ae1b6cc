import type { FailInfo } from '@certfleet/agent-core/scep/messages'
import type { ValidationCode } from './validation.ts'

/** A wrong key length has a code of its own: CERTSRV_E_KEY_LENGTH. */
const keyLength = 0x80094811

const byFailInfo: Record<FailInfo, number> = {
  /** NTE_BAD_ALGID. */
  badAlg: 0x80090008,
  /** NTE_BAD_SIGNATURE. */
  badMessageCheck: 0x80090006,
  /** E_INVALIDARG, as captured of Server 2012. */
  badRequest: 0x80070057,
  /** CERT_E_EXPIRED. */
  badTime: 0x800b0101,
  /** CRYPT_E_NOT_FOUND. */
  badCertId: 0x80092004,
}

/** What NDES tells beside failInfo, in szOID_ENROLL_SCEP_ERROR; unsigned. It tells no more than failInfo does, a wrong key length apart. */
export function hresultOf(failInfo: FailInfo, code?: ValidationCode): number {
  return code === 'KeyLengthMismatch' ? keyLength : byFailInfo[failInfo]
}
