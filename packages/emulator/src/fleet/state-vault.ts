import { createPrivateKey } from 'node:crypto'
import { AgentError, isKeyLabel, type KeyProtection, type KeyVault } from '@certfleet/agent-core'
import type { DrawCounts, PlacedKeys, RsaBits } from '../keys/index.ts'
import type { DeviceRecords } from './state-records.ts'

/** By the first octet of a key's record; PKCS #8 in DER follows, in the clear. */
const protections: readonly KeyProtection[] = ['software', 'tpm', 'passport']

const keyPrefix = 'key/'
const nameOf = (label: string): string => keyPrefix + label

/** Where the keys of a device were put, by their records. */
export function placedKeys(records: DeviceRecords, device: string): PlacedKeys {
  const placed: PlacedKeys = new Map()
  for (const label of labelsOf(records, device)) {
    const protection = protections[records.get(device, nameOf(label))?.[0] ?? 0]
    if (protection !== undefined && protection !== 'software') placed.set(label, protection)
  }
  return placed
}

/** The keys of one device among the records: each is there with its place, or not at all. A record that is no key is `ERR_STATE_INVALID`. */
export function recordsVault(records: DeviceRecords, device: string, placed: PlacedKeys): KeyVault {
  return {
    medium: 'disk',
    list: async () => labelsOf(records, device),
    async load(label) {
      const bytes = isKeyLabel(label) ? records.get(device, nameOf(label)) : undefined
      return bytes && keyOf(bytes, device, label)
    },
    async store(label, privateKey) {
      if (records.get(device, nameOf(label))) throw new AgentError('ERR_KEY_EXISTS', `a key with label "${label}" exists`)
      const place = Uint8Array.of(protections.indexOf(placed.get(label) ?? 'software'))
      records.put(device, nameOf(label), Buffer.concat([place, privateKey.export({ format: 'der', type: 'pkcs8' })]))
    },
    async remove(label) {
      if (isKeyLabel(label)) records.remove(device, nameOf(label))
    },
  }
}

/** How many keys a device has drawn, among the records. */
export function recordsDraws(records: DeviceRecords, device: string): DrawCounts {
  const nameFor = (bits: RsaBits) => `drawn/${bits}`
  return {
    get(bits) {
      const bytes = records.get(device, nameFor(bits))
      return bytes && Buffer.from(bytes).readUInt32BE()
    },
    set(bits, count) {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(count)
      records.put(device, nameFor(bits), bytes)
    },
  }
}

const labelsOf = (records: DeviceRecords, device: string): string[] =>
  records.names(device, keyPrefix).map((name) => name.slice(keyPrefix.length))

function keyOf(bytes: Uint8Array, device: string, label: string) {
  try {
    return createPrivateKey({ key: Buffer.from(bytes.subarray(1)), format: 'der', type: 'pkcs8' })
  } catch (error) {
    throw new AgentError('ERR_STATE_INVALID', `the record of key "${label}" of ${device} is none; it was left as it is`, { cause: error })
  }
}
