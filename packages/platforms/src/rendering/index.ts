export { type DeliverySecrets, deliveryOf } from './deliver.ts'
export type { Delivery, LostSetting, PfxDelivery, ReadDelivery, Rendering, Retries, RootDelivery, ScepDelivery } from './delivery.ts'
export { readSyncMl, renderSyncMl } from './syncml-delivery.ts'
export { readXml, type XmlElement, xmlLimits } from './xml.ts'
