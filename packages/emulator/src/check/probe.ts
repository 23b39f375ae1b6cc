import type { Transport } from '@certfleet/agent-core'
import type { Import } from '../tenant/index.ts'
import type { CheckFinding } from './types.ts'

/** Asks each SCEP server of the export for its CA certificates, one server once, and holds them against the linked root. Nothing else is sent. */
export async function probeServers(_imported: Import, _transport: Transport, _signal: AbortSignal): Promise<readonly CheckFinding[]> {
  throw new Error('not written')
}
