import type { Instant } from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import type { DeviceReport, IssuedRecord, LabTables } from '../records.ts'
import type { LabStore } from '../store.ts'
import { type ReportedStatus, statusesOf } from './reported.ts'

/** A certificate that was issued, without the certificate. */
export interface IssuedFacts extends Pick<IssuedRecord, 'deviceId' | 'profileId' | 'serialNumber' | 'at'> {
  readonly notBefore: Instant
  readonly notAfter: Instant
}

/** The last report of a device. */
export interface ReportFacts {
  readonly at: Instant
  readonly statuses: ReadonlyMap<string, ReportedStatus>
}

interface Facts {
  readonly registrations: true
  readonly issued: IssuedFacts
  readonly revocations: true
  readonly reports: ReportFacts
}

/** What monitoring reads of all records at each call, in memory, under the keys of the tables. */
export type MonitoringIndex = { readonly [T in keyof Facts]: ReadonlyMap<string, Facts[T]> }

const factsOf: { readonly [T in keyof Facts]: (record: LabTables[T]) => Facts[T] } = {
  registrations: () => true,
  issued: issuedFacts,
  revocations: () => true,
  reports: (record: DeviceReport) => ({ at: record.at, statuses: statusesOf(record) }),
}

/**
 * Reads those tables once. What a transaction of the returned store writes is in the index by the time that it resolves; what is rolled
 * back never is, nor what others write past it.
 */
export function monitored(store: LabStore): { readonly store: LabStore; readonly index: MonitoringIndex } {
  const index = { registrations: new Map(), issued: new Map(), revocations: new Map(), reports: new Map() }
  const isIndexed = (table: keyof LabTables): table is keyof Facts => Object.hasOwn(index, table)
  for (const record of store.list('registrations')) index.registrations.set(record.deviceId, factsOf.registrations(record))
  for (const record of store.list('issued')) index.issued.set(record.serialNumber, factsOf.issued(record))
  for (const record of store.list('revocations')) index.revocations.set(record.serialNumber, factsOf.revocations(record))
  for (const record of store.list('reports')) index.reports.set(record.deviceId, factsOf.reports(record))
  const transaction: LabStore['transaction'] = async (work) => {
    const changes: (() => void)[] = []
    const result = await store.transaction((tx) => {
      changes.length = 0
      return work({
        ...tx,
        put(table, key, record) {
          tx.put(table, key, record)
          if (!isIndexed(table)) return
          const facts = factsOf[table](record as never)
          changes.push(() => index[table].set(key, facts))
        },
        remove(table, key) {
          tx.remove(table, key)
          if (isIndexed(table)) changes.push(() => index[table].delete(key))
        },
      })
    })
    for (const change of changes) change()
    return result
  }
  return { store: { ...store, transaction }, index }
}

function issuedFacts({ deviceId, profileId, serialNumber, at, certificate }: IssuedRecord): IssuedFacts {
  const { notBefore, notAfter } = parseCertificate(certificate)
  return {
    serialNumber,
    at,
    notBefore,
    notAfter,
    ...(deviceId !== undefined && { deviceId }),
    ...(profileId !== undefined && { profileId }),
  }
}
