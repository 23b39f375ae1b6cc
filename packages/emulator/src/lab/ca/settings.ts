import { caFacts, says } from '@certfleet/platforms'
import type { Audit } from '../audit.ts'
import type { CaSettingRecord } from '../records.ts'
import type { LabStore } from '../store.ts'

/** Flags of the CA's policy module: as `certutil -setreg` left them, and as the running service read them when it started (S50). */
export interface CaSettings {
  /** EDITF_ATTRIBUTEENDDATE: an end date that is asked for is honoured. */
  attributeEndDate(): CaSettingRecord
  /** Counts once the CA has restarted. */
  configureAttributeEndDate(on: boolean): Promise<void>
  /** `net stop certsvc`, `net start certsvc`: what is configured is running from now on. */
  restart(): Promise<void>
}

const endDate = says(caFacts.endDate, {})

/** The settings in the store, where the first opening puts `initial`. To open them is to start the CA. */
export async function openCaSettings(store: LabStore, audit: Audit, initial: { readonly attributeEndDate: boolean }): Promise<CaSettings> {
  await store.transaction((tx) => {
    const { configured } = tx.get('settings', endDate) ?? { configured: initial.attributeEndDate }
    tx.put('settings', endDate, { configured, running: configured })
  })
  const read = () => store.get('settings', endDate) as CaSettingRecord
  return {
    attributeEndDate: read,
    configureAttributeEndDate: (configured) =>
      store.transaction((tx) => {
        const { running } = tx.get('settings', endDate) as CaSettingRecord
        tx.put('settings', endDate, { configured, running })
        audit.add(tx, { event: 'setting-changed', detail: `${endDate} is ${configured ? 'on' : 'off'} once the CA has restarted` })
      }),
    restart: () =>
      store.transaction((tx) => {
        const { configured } = tx.get('settings', endDate) as CaSettingRecord
        tx.put('settings', endDate, { configured, running: configured })
        audit.add(tx, { event: 'ca-restarted', detail: `${endDate} is ${configured ? 'on' : 'off'}` })
      }),
  }
}
