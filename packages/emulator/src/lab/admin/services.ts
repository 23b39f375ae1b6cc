import type { Clock } from '@certfleet/agent-core'
import type { Lab } from '../lab.ts'
import type { LabStore } from '../store.ts'
import type { MonitoringIndex } from './monitored.ts'
import type { AdminPolicies } from './policies.ts'

/** What the admin's API works with. */
export interface AdminServices {
  readonly store: LabStore
  /** Of that store, by `monitored`: all that is written goes through the store that it returned. */
  readonly index: MonitoringIndex
  readonly clock: Clock
  /** Over the same store. */
  readonly policies: AdminPolicies
  readonly revoke: Lab['revoke']
  readonly importedPfx: Lab['importedPfx']
  /** Called once a change of what devices are to have is on record, before the answer. */
  changed(): Promise<void>
}
