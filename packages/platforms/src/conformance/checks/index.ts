import type { Check } from '../check.ts'
import { editChecks } from './edits.ts'
import { keyChecks } from './keys.ts'
import { managementChecks } from './management.ts'
import { matrixChecks, subjectChecks } from './matrix.ts'
import { ndesChecks } from './ndes.ts'
import { payloadChecks } from './payloads.ts'
import { pendingChecks } from './pending.ts'
import { pfxChecks } from './pfx.ts'
import { refusalChecks } from './refusals.ts'
import { removalChecks } from './removal.ts'
import { renewalChecks } from './renewal.ts'
import { serverUrlChecks } from './server-urls.ts'
import { serverChecks } from './servers.ts'
import { statusChecks } from './status.ts'
import { storeChecks } from './stores.ts'
import { syncMlAndroidChecks } from './syncml-android.ts'
import { syncMlCommandChecks } from './syncml-commands.ts'
import { syncMlRequestChecks } from './syncml-requests.ts'
import { trustChecks } from './trust.ts'
import { validityChecks } from './validity.ts'
import { wireChecks } from './wire.ts'

/** Every check, by topic. */
export const checks: readonly Check[] = [
  ...trustChecks,
  ...storeChecks,
  ...managementChecks,
  ...keyChecks,
  ...subjectChecks,
  ...validityChecks,
  ...syncMlRequestChecks,
  ...syncMlCommandChecks,
  ...syncMlAndroidChecks,
  ...payloadChecks,
  ...wireChecks,
  ...serverUrlChecks,
  ...serverChecks,
  ...ndesChecks,
  ...refusalChecks,
  ...pendingChecks,
  ...renewalChecks,
  ...statusChecks,
  ...editChecks,
  ...removalChecks,
  ...pfxChecks,
  ...matrixChecks,
]
