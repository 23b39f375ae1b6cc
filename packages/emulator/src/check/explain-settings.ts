import { type Setting, settingFactOf, treatmentOf } from '@certfleet/platforms'
import type { IntentProfile } from '../tenant/index.ts'
import type { ExplainedStep, Walk } from './explain-walk.ts'
import { settingsSaid } from './rules/settings.ts'
import { usagesText, validityText } from './words.ts'

/** Each setting that the profile says, and what the OS does with it, by its row. */
export function settings({ profile, intent, device: { os } }: Walk): readonly ExplainedStep[] {
  // What another platform would do with it is of no use to anybody.
  if (profile.platform !== os.platform) return []
  const strays = settingsSaid(profile)
  const own = new Map(saidBy(profile, intent.multiFactor.has(profile.id)))
  // What a type has no member for is told as it was written.
  const said = new Map([...own, ...strays.flatMap(({ setting, words }) => (own.has(setting) ? [] : [[setting, words] as const]))])
  return [...said].map(([setting, words]): ExplainedStep => {
    const { effect, id } = settingFactOf(setting, os)
    const treatment = treatmentOf(setting, os)
    const outcome = treatment === 'honoured' ? 'goes-on' : treatment === 'rejected' ? 'stops' : 'ignored'
    return { title: 'setting', outcome, text: `${words}: ${treatment.replace('-', ' ')}. ${effect}`, source: id }
  })
}

type Said = readonly [setting: Setting, words: string]

function saidBy(profile: IntentProfile, multiFactor: boolean): readonly Said[] {
  switch (profile.kind) {
    case 'invalid':
      return []
    case 'trusted-root':
      return profile.destinationStore ? [['destinationStore', `store ${profile.destinationStore}`]] : []
    case 'imported-pfx':
    case 'pkcs':
      return [...keyStorage(profile), threshold(profile)]
    case 'scep': {
      const { keyBits, hash, keyUsages, extendedKeyUsages, validity, subjectAltNames, scepUrls } = profile
      const rows: readonly (Said | false)[] = [
        ...keyStorage(profile),
        ['keyBits', `key of ${keyBits} bits`],
        hash !== undefined && ['hash', `hash ${hash}`],
        ['keyUsages', `key usage ${keyUsages.join(', ')}`],
        extendedKeyUsages.length > 0 && ['extendedKeyUsages', `extended key usage ${usagesText(extendedKeyUsages)}`],
        ['validity', `lifetime of ${validityText(validity)}`],
        threshold(profile),
        subjectAltNames.length > 0 && ['subjectAltNames', `alternative names ${subjectAltNames.map(({ type }) => type).join(', ')}`],
        scepUrls.length > 1 && ['severalUrls', `${scepUrls.length} SCEP URLs`],
        multiFactor && ['multiFactor', 'more than one factor'],
      ]
      return rows.filter((row) => row !== false)
    }
  }
}

function keyStorage({ keyStorage: option, family }: Extract<IntentProfile, { keyStorage: unknown }>): readonly Said[] {
  const isOffered = family === 'windows81' || family === 'windows10X' || family === 'windowsPhone81'
  return isOffered ? [['keyStorage', `key storage ${option}`]] : []
}

function threshold({ renewalThresholdPercent }: Extract<IntentProfile, { renewalThresholdPercent: unknown }>): Said {
  return ['renewalThresholdPercent', `renewal at ${renewalThresholdPercent} %`]
}
