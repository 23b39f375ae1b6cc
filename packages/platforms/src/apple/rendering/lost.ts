import type { Fact } from '../../fact.ts'
import { holds, says } from '../../fact.ts'
import type { Os } from '../../os.ts'
import type { LostSetting, PfxDelivery, RootDelivery, ScepDelivery } from '../../rendering/delivery.ts'
import { settingFacts } from '../../setting-facts.ts'
import type { Setting } from '../../settings.ts'
import { appleFacts } from '../facts.ts'
import { payloadFacts } from '../payload-facts.ts'
import { carriesKeyUsage, carriesRetries } from './scep-payload.ts'

/** Whose certificates a whole profile can say it holds: the device's, or all one user's. */
export function scopeOf(deliveries: readonly Pick<ScepDelivery, 'principal'>[], os: Os): 'device' | 'user' {
  const isUsers = deliveries.length > 0 && deliveries.every(({ principal }) => principal === 'user')
  return isUsers && holds(payloadFacts.scope, os) ? 'user' : 'device'
}

export function lostOfRoot({ id, destinationStore }: RootDelivery, os: Os): LostSetting[] {
  return destinationStore === undefined ? [] : [lost(id, 'destinationStore', treatment('destinationStore', os))]
}

export function lostOfScep(scep: ScepDelivery, scope: 'device' | 'user', os: Os): LostSetting[] {
  const { id, retries } = scep
  const rows: [keyof ScepDelivery, boolean, Fact][] = [
    ['principal', scep.principal !== scope, payloadFacts.scope],
    ['urls', scep.urls.length > 1, appleFacts.urls],
    ['keyUsages', scep.keyUsages !== undefined && !carriesKeyUsage(os), payloadFacts.noKeyUsage],
    ['keyStorage', scep.keyStorage !== undefined, treatment('keyStorage', os)],
    ['extendedKeyUsages', (scep.extendedKeyUsages ?? []).length > 0, treatment('extendedKeyUsages', os)],
    ['validity', scep.validity !== undefined, treatment('validity', os)],
    ['hashes', (scep.hashes ?? []).length > 0, treatment('hash', os)],
    ['renewalThresholdPercent', scep.renewalThresholdPercent !== undefined, payloadFacts.renewal],
    ['retries', retries !== undefined && !carriesRetries(os), payloadFacts.noRetries],
    ['retries', retries !== undefined && carriesRetries(os) && !isWhole(retries.delayMs, os), payloadFacts.retryDelayUnitMs],
  ]
  return rows.flatMap(([setting, isLost, fact]) => (isLost ? [lost(id, setting, fact)] : []))
}

export function lostOfPfx(pfx: PfxDelivery, scope: 'device' | 'user', os: Os): LostSetting[] {
  const rows: [keyof PfxDelivery, boolean, Fact][] = [
    ['principal', pfx.principal !== scope, payloadFacts.scope],
    ['keyStorage', pfx.keyStorage !== undefined, treatment('keyStorage', os)],
    ['exportable', pfx.exportable !== undefined && !carriesExportable(os), treatment('exportable', os)],
  ]
  return rows.flatMap(([setting, isLost, fact]) => (isLost ? [lost(pfx.id, setting, fact)] : []))
}

export function carriesExportable(os: Os): boolean {
  return treatment('exportable', os).value.treatment === 'honoured'
}

function isWhole(delayMs: number, os: Os): boolean {
  return delayMs % says(payloadFacts.retryDelayUnitMs, os) === 0
}

/** The row on this system, whether switched off or not: a form has no place for what it never had one for. */
function treatment(setting: Setting, os: Os): (typeof settingFacts)[number] {
  const fact = settingFacts.find(({ platforms, value }) => value.setting === setting && platforms.includes(os.system))
  if (fact === undefined) throw new Error(`no fact says what ${os.system} does with ${setting}`)
  return fact
}

function lost(id: string, setting: string, { id: factId, effect }: Fact): LostSetting {
  const words = effect.slice(0, -1).replace(/^[A-Z][a-z]*\b/, (first) => first.toLowerCase())
  return { id, setting, reason: `${words} (${factId})` }
}
