import { AgentError } from '@certfleet/agent-core'
import { isMobileconfig, readMobileconfig } from '../apple/rendering/read.ts'
import { renderMobileconfig } from '../apple/rendering/render.ts'
import { currentReleases, type FactOverrides, type Os, type PlatformName, parseOs } from '../os.ts'
import type { Delivery, ReadDelivery, Rendering } from './delivery.ts'
import { isAndroidSyncMl, isWindowsSyncMl, readSyncMlBytes, renderSyncMl } from './syncml-delivery.ts'

interface Form {
  readonly platforms: readonly PlatformName[]
  render(delivery: Delivery, os: Os): Rendering
  /** By its looks: what it recognises it may still refuse. */
  recognises(bytes: Uint8Array): boolean
  read(bytes: Uint8Array, os: Os): ReadDelivery
}

/** One row a form, the usual platform first. No two rows recognise one file. */
const forms = {
  'android-syncml': { platforms: ['android'], render: renderSyncMl, recognises: isAndroidSyncMl, read: readSyncMlBytes },
  'windows-syncml': { platforms: ['windows'], render: renderSyncMl, recognises: isWindowsSyncMl, read: readSyncMlBytes },
  mobileconfig: { platforms: ['ios', 'macos'], render: renderMobileconfig, recognises: isMobileconfig, read: readMobileconfig },
} as const satisfies Record<string, Form>

const formOf: Readonly<Record<PlatformName, Form>> = {
  ios: forms.mobileconfig,
  macos: forms.mobileconfig,
  android: forms['android-syncml'],
  windows: forms['windows-syncml'],
}

/** A file as it was read. */
export interface DeliveryFile {
  readonly form: keyof typeof forms
  /** Those whose form it is, the usual one first. */
  readonly platforms: readonly PlatformName[]
  readonly delivery: ReadDelivery
}

/** A delivery in the platform's own form. An OS version that cannot be read: `ERR_UNSUPPORTED`; what the form refuses to say: that form's errors. */
export function renderFor(platform: PlatformName, osVersion: string, delivery: Delivery, overrides?: FactOverrides): Rendering {
  const os = parseOs(platform, osVersion, overrides)
  return formOf[platform].render(delivery, os)
}

/** A signed profile is longer than what it says, which the forms themselves limit. */
export const deliveryFileLimits = { maxBytes: 2 * 1024 * 1024 } as const

/**
 * Reads a file in any form, as `os` would; default: the usual platform of the form, at a current version and with `overrides`.
 * One that is too long, of no known form, or that its OS would refuse: `ERR_PROFILE_INVALID`; a key that the OS cannot make may be
 * `ERR_UNSUPPORTED`. Nothing else is thrown.
 */
export function readDeliveryFile(bytes: Uint8Array, os?: Os, overrides?: FactOverrides): DeliveryFile {
  if (bytes.length > deliveryFileLimits.maxBytes) refuse(`a file of ${bytes.length} bytes; at most ${deliveryFileLimits.maxBytes} are read`)
  const [name, form] =
    Object.entries<Form>(forms).find(([, one]) => one.recognises(bytes)) ??
    refuse(`a file of no known form; expected ${Object.keys(forms).join(', ')}`)
  const [usual] = form.platforms as [PlatformName]
  const reader = os && form.platforms.includes(os.platform) ? os : parseOs(usual, currentReleases[usual], overrides)
  return { form: name as keyof typeof forms, platforms: form.platforms, delivery: form.read(bytes, reader) }
}

function refuse(reason: string): never {
  throw new AgentError('ERR_PROFILE_INVALID', reason)
}
