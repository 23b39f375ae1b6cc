import type { FailInfo } from '@certfleet/agent-core/scep/messages'
import { type FactOverrides, ndesFacts, says } from '@certfleet/platforms'
import type { ValidationCode } from './validation.ts'

const byFailInfo: Record<Exclude<FailInfo, 'badRequest'>, number> = {
  /** NTE_BAD_ALGID. */
  badAlg: 0x80090008,
  /** NTE_BAD_SIGNATURE. */
  badMessageCheck: 0x80090006,
  /** CERT_E_EXPIRED. */
  badTime: 0x800b0101,
  /** CRYPT_E_NOT_FOUND. */
  badCertId: 0x80092004,
}

/** What NDES tells beside failInfo, in szOID_ENROLL_SCEP_ERROR; unsigned. It tells no more than failInfo does, a wrong key length apart. */
export function hresultOf(failInfo: FailInfo, code: ValidationCode | undefined, overrides: FactOverrides | undefined): number {
  if (code === 'KeyLengthMismatch') return says(ndesFacts.keyLength, { overrides })
  return failInfo === 'badRequest' ? says(ndesFacts.badRequest, { overrides }) : byFailInfo[failInfo]
}
