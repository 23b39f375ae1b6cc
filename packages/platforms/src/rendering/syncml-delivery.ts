import { isUtf8 } from 'node:buffer'
import { AgentError } from '@certfleet/agent-core'
import { readForAndroid } from '../android/read-delivery.ts'
import { renderForAndroid } from '../android/rendering.ts'
import type { Os } from '../os.ts'
import { readForWindows } from '../windows/read-delivery.ts'
import { renderForWindows } from '../windows/rendering.ts'
import type { Delivery, ReadDelivery, Rendering } from './delivery.ts'

/**
 * A delivery as the SyncML message that Windows, or the agent on Android, takes: `lost` tells what has no place in it.
 * What the OS would refuse: `ERR_PROFILE_INVALID`, and `ERR_UNSUPPORTED` for a key it cannot make. Apple's systems: `ERR_UNSUPPORTED`.
 */
export function renderSyncMl(delivery: Delivery, os: Os): Rendering {
  if (os.platform === 'windows') return renderForWindows(delivery, os)
  return os.platform === 'android' ? renderForAndroid(delivery, os) : refuse(os)
}

/**
 * What such a message brings to a device that has nothing. Commands and nodes of other kinds are told in `skipped`.
 * What is no such message, or would be refused by the OS: `ERR_PROFILE_INVALID`, and `ERR_UNSUPPORTED` for a key it cannot make,
 * by node and fact, never with a value. Apple's systems: `ERR_UNSUPPORTED`.
 */
export function readSyncMl(text: string, os: Os): ReadDelivery {
  if (os.platform === 'windows') return readForWindows(text, os)
  return os.platform === 'android' ? readForAndroid(text, os) : refuse(os)
}

function refuse({ platform }: Os): never {
  throw new AgentError('ERR_UNSUPPORTED', `${platform} takes no SyncML; render a .mobileconfig`)
}

/** As `readSyncMl`, of a file: what is no UTF-8 is refused too. */
export function readSyncMlBytes(bytes: Uint8Array, os: Os): ReadDelivery {
  if (!isUtf8(bytes)) throw new AgentError('ERR_PROFILE_INVALID', 'SyncML is read in UTF-8 alone; this file is in something else')
  return readSyncMl(textOf(bytes), os)
}

/** By its looks, for Windows: no node of it asks for a certificate as the agent on Android is asked. */
export function isWindowsSyncMl(bytes: Uint8Array): boolean {
  return isSyncMl(bytes) && !isAndroidSyncMl(bytes)
}

/** By its looks, for the agent on Android. */
export function isAndroidSyncMl(bytes: Uint8Array): boolean {
  return isSyncMl(bytes) && /CertificateStore\/Enroll\//i.test(textOf(bytes))
}

/** By its head UTF-16 too, which is then refused by name. */
function isSyncMl(bytes: Uint8Array): boolean {
  const root = /<(?:\w+:)?SyncML[\s>]/
  return root.test(textOf(bytes)) || root.test(textOf(bytes.subarray(0, 4096)).replaceAll('\0', ''))
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8')
}
