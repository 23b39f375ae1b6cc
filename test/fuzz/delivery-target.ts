import { parseOs, readDeliveryFile, readSyncMl, readXml, renderFor } from '@certfleet/platforms'
import type { Trial } from './targets.ts'

const versions = { ios: '18', macos: '15', android: '15', windows: '11' } as const

/** A file of any form is read or refused, by whomever; what is read is rendered again or refused. */
export function delivery({ mutant, sample, isResealed, probe }: Trial): void {
  const text = Buffer.from(mutant).toString()
  if (probe.call('readXml', () => readXml(text))) probe.reach('outerParse')
  for (const platform of ['windows', 'android'] as const) {
    probe.call(`readSyncMl for ${platform}`, () => readSyncMl(text, parseOs(platform, versions[platform])))
  }
  const file = probe.call('readDeliveryFile', () => readDeliveryFile(mutant))
  if (!file) return
  probe.reach('outerParse')
  probe.reach('parsed')
  const { deviceId = 'device', ...read } = file.delivery
  for (const platform of file.platforms)
    probe.call(`renderFor ${platform}`, () => renderFor(platform, versions[platform], { deviceId, ...read }))
  if (mutant[0] !== 0x30) return
  probe.reach('signatureGood')
  const [layer] = sample.layers
  const isOwn = layer !== undefined && JSON.stringify(readDeliveryFile(layer.bytes).delivery.scep) === JSON.stringify(read.scep)
  if (!isResealed && !isOwn) probe.forged('readDeliveryFile', 'a profile that was not signed')
}
