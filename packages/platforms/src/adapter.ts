import {
  AgentError,
  type CertificateProfile,
  type CertificateStores,
  type Clock,
  type IdentityStore,
  type Jitter,
  type KeyStorageProvider,
  type PfxProfile,
  type PfxRules,
  type PfxSpec,
  type PlatformAdapter,
  type RequestSpec,
  type ScepHabits,
  type ScepProfile,
  type StoreName,
  scepProtocol,
  type Transport,
  type TrustedRootProfile,
} from '@certfleet/agent-core'
import { isSelfSigned, parseCertificate } from '@certfleet/agent-core/pki'
import { androidBehaviour } from './android/behaviour.ts'
import { androidFacts } from './android/facts.ts'
import { storageFacts } from './android/modes-facts.ts'
import { whyInapplicable } from './applicability.ts'
import type { Behaviour } from './behaviour.ts'
import { identitiesByConsent, keysBehindPin, storesByConsent, type UserConsent } from './consent.ts'
import { holds } from './fact.ts'
import { installationOf } from './installation.ts'
import { iosBehaviour } from './ios/behaviour.ts'
import { supportedKeyBits } from './key-sizes.ts'
import { macosBehaviour } from './macos/behaviour.ts'
import { type FactOverrides, type Management, type Os, type PlatformName, parseOs } from './os.ts'
import { refuse, refuseRejected } from './refusals.ts'
import { removalRules } from './removal.ts'
import { type Setting, treatmentOf } from './settings.ts'
import { osStatusOf } from './status/index.ts'
import { windowsBehaviour } from './windows/behaviour.ts'

/** What one device brings along. */
export interface PlatformBindings {
  /** As `parseOs` reads it: `17.4`, `10.0.19045`, `Phone 8.1`. */
  readonly osVersion: string
  readonly keyStorageProviders: readonly KeyStorageProvider[]
  readonly certificateStores: CertificateStores
  readonly identities: IdentityStore
  readonly transport: Transport
  readonly clock: Clock
  /** Orders the SCEP URLs where the device itself shuffles them. */
  readonly jitter: Jitter
  /** What the device is enrolled as. Default: Samsung Knox for Android, managed elsewhere. One that the platform lacks: `ERR_UNSUPPORTED`. */
  readonly management?: Management
  /** Asks the user where the OS does. Default: nobody answers, and what needs an answer waits with `ERR_USER_ACTION_REQUIRED`. */
  readonly userConsent?: UserConsent
  /** The storage of an Android device is encrypted as a whole, so that its keys need a PIN. Default: by file, and they need none. */
  readonly fullDiskEncryption?: { hasPin(): Promise<boolean> }
  /** Default: never locked. */
  readonly isLocked?: () => Promise<boolean>
  /** Read replies in single DES. Default false. */
  readonly legacyDes?: boolean
  /** Accept SHA-1 where the peer offers nothing better. Default false. */
  readonly legacySha1?: boolean
  /** Read PFX files in 3DES and RC2 too. Default false: they are read where the OS knows nothing else. */
  readonly legacyPfx?: boolean
  /** Allow plain http SCEP URLs on an OS that refuses them, for a lab. Default false. */
  readonly allowHttp?: boolean
  /** From `factOverrides`. Default: everything is as sourced. */
  readonly overrides?: FactOverrides
}

const behaviours = {
  ios: iosBehaviour,
  macos: macosBehaviour,
  android: androidBehaviour,
  windows: windowsBehaviour,
} as const satisfies Record<PlatformName, (os: Os) => Behaviour>

/** What this platform does at this OS version, without a device. An OS version that cannot be read: `ERR_UNSUPPORTED`. */
export function behaviourOf(platform: PlatformName, osVersion: string, overrides?: FactOverrides): Behaviour {
  return behaviours[platform](parseOs(platform, osVersion, overrides))
}

/** How the platform's SCEP client looks on the wire for a profile of this display name. */
export function habitsOf(platform: PlatformName, osVersion: string, displayName: string): ScepHabits {
  return behaviourOf(platform, osVersion).habits(displayName)
}

/** Binds a platform's behaviour to one device. An OS version that cannot be read: `ERR_UNSUPPORTED`. */
export function platformAdapter(platform: PlatformName, bindings: PlatformBindings): PlatformAdapter {
  const { os, behaviour, alike } = releaseOf(platform, bindings)
  const { isLocked = neverLocked } = bindings
  const { keyStorageProviders, certificateStores, identities } = boundStorage(os, bindings)
  // Each by its name: objects that are put together by spreading have a shape of their own each, half a KiB a device.
  return {
    name: alike.name,
    keyStorageProviders,
    certificateStores,
    identities,
    pendingSchedule: alike.pendingSchedule,
    storeFor: alike.storeFor,
    pfxRequestFor: alike.pfxRequestFor,
    inapplicable: alike.inapplicable,
    ignoredSettings: alike.ignoredSettings,
    shownOf: alike.shownOf,
    lifecycle: alike.lifecycle,
    requestFor: (profile) => requestFor(profile, os, behaviour, bindings),
    pfxRules: pfxRules(behaviour, bindings),
    protocolFor: (profile, root) => protocolFor(profile, root, os, behaviour, bindings),
    isLocked,
  }
}

const neverLocked = async () => false

/** An OS at one version, and what all its devices have alike. */
interface Release {
  readonly os: Os
  readonly behaviour: Behaviour
  readonly alike: Required<
    Pick<
      PlatformAdapter,
      'name' | 'pendingSchedule' | 'storeFor' | 'pfxRequestFor' | 'inapplicable' | 'ignoredSettings' | 'shownOf' | 'lifecycle'
    >
  >
}

const releases = new WeakMap<FactOverrides, Map<string, Release>>()
const asSourced: FactOverrides = new Map()

/** Worked out once for all devices with that release. */
function releaseOf(platform: PlatformName, { osVersion, overrides, management }: PlatformBindings): Release {
  const known = releases.get(overrides ?? asSourced) ?? new Map<string, Release>()
  releases.set(overrides ?? asSourced, known)
  const key = `${platform} ${management} ${osVersion}`
  const release = known.get(key) ?? newRelease(platform, parseOs(platform, osVersion, overrides, management))
  known.set(key, release)
  return release
}

function newRelease(platform: PlatformName, os: Os): Release {
  const behaviour = behaviours[platform](os)
  const alike: Release['alike'] = {
    name: platform,
    pendingSchedule: behaviour.pendingSchedule,
    storeFor: (root) => storeFor(root, os),
    pfxRequestFor: (profile) => pfxRequestFor(profile, os, behaviour),
    inapplicable: (type) => whyInapplicable(type, os),
    ignoredSettings: (profile) => ignoredSettings(profile, os),
    shownOf: (standing) => osStatusOf(standing, os),
    lifecycle: { renewal: behaviour.renewal, removal: removalRules(os) },
  }
  return { os, behaviour, alike }
}

/** What the device keeps, with a word of its user wherever the OS asks for one. */
function boundStorage(
  os: Os,
  { keyStorageProviders, certificateStores, identities, fullDiskEncryption, userConsent = nobodyAnswers }: PlatformBindings,
): Pick<PlatformAdapter, 'keyStorageProviders' | 'certificateStores' | 'identities'> {
  const installation = installationOf(os)
  const asksForRoots = installation.root !== 'silent' || installation.trust !== 'at-once'
  const needsPin = fullDiskEncryption && holds(storageFacts.fullDiskPin, os)
  return {
    keyStorageProviders: needsPin
      ? keyStorageProviders.map((provider) => keysBehindPin(provider, () => fullDiskEncryption.hasPin(), os))
      : keyStorageProviders,
    certificateStores: asksForRoots ? storesByConsent(certificateStores, installation, userConsent) : certificateStores,
    identities: installation.identity === 'prompt' ? identitiesByConsent(identities, userConsent) : identities,
  }
}

const nobodyAnswers: UserConsent = async () => 'waiting'

/** By the profile where the OS has stores to choose from; elsewhere self-signed certificates are roots and all others intermediates. */
export function storeFor(root: Pick<TrustedRootProfile, 'certificate' | 'destinationStore'>, os: Os): StoreName {
  if (treatmentOf('destinationStore', os) === 'honoured') return root.destinationStore
  return isReadableRoot(root.certificate) ? 'computer-root' : 'computer-intermediate'
}

function isReadableRoot(der: Uint8Array): boolean {
  try {
    return isSelfSigned(parseCertificate(der))
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    // Whichever store is named, its admission reads the certificate again and reports what is wrong with it.
    return false
  }
}

/** The request of a profile as a device of this OS makes it, without a device. What the OS refuses: `ERR_UNSUPPORTED`, caused by the fact. */
export function requestOf(profile: CertificateProfile, os: Os): RequestSpec | PfxSpec {
  const behaviour = behaviours[os.platform](os)
  return 'scepUrls' in profile ? requestFor(profile, os, behaviour, {}) : pfxRequestFor(profile, os, behaviour)
}

function requestFor(
  profile: ScepProfile,
  os: Os,
  behaviour: Behaviour,
  { allowHttp = false }: Pick<PlatformBindings, 'allowHttp'>,
): RequestSpec {
  if (!behaviour.allowsHttp && !allowHttp) refuseHttp(profile, os)
  refuseRejected(profile, os)
  if (behaviour.allowsUrlQuery === false) refuseUrlQuery(profile, os)
  const keyBits = supportedKeyBits(profile.request.keySpec, os)
  if (treatmentOf('keyStorage', os) !== 'honoured') return { ...profile.request, keyStorage: 'useSoftwareKsp' }
  const { keyStorage: option, extendedKeyUsages } = profile.request
  return { ...profile.request, keyStorage: behaviour.keyStorage?.({ option, keyBits, hash: profile.hash, extendedKeyUsages }) ?? option }
}

function pfxRequestFor({ request }: PfxProfile, os: Os, behaviour: Behaviour): PfxSpec {
  const exportable = request.exportable && treatmentOf('exportable', os) === 'honoured'
  if (treatmentOf('keyStorage', os) !== 'honoured') return { ...request, keyStorage: 'useSoftwareKsp', exportable }
  return { ...request, keyStorage: behaviour.pfx.keyStorage?.(request) ?? request.keyStorage, exportable }
}

function pfxRules({ pfx: { maxCertificates, readsLegacyAlone } }: Behaviour, { legacyPfx }: PlatformBindings): PfxRules {
  const reads = readsLegacyAlone ? 'legacy' : legacyPfx ? 'both' : 'modern'
  return maxCertificates === undefined ? { reads } : { reads, maxCertificates }
}

/** A setting that happens to say what the OS does anyway is not told; nor are those that every profile has to say. */
function ignoredSettings(profile: CertificateProfile, os: Os): readonly string[] {
  const { request } = profile
  const isIgnored = (setting: Setting) => treatmentOf(setting, os) !== 'honoured'
  const isScep = 'scepUrls' in profile
  return [
    ...(request.keyStorage !== 'useSoftwareKsp' && isIgnored('keyStorage') ? ['keyStorage'] : []),
    ...('exportable' in request && request.exportable && isIgnored('exportable') ? ['exportable'] : []),
    ...(isScep && profile.multiFactor && isIgnored('multiFactor') ? ['multiFactor'] : []),
    ...(isScep && profile.scepUrls.length > 1 && isIgnored('severalUrls') ? ['severalUrls'] : []),
  ]
}

function refuseHttp(profile: ScepProfile, os: Os): void {
  if (profile.scepUrls.every((url) => /^https:/i.test(url))) return
  refuse(androidFacts.http, `${os.system} asks SCEP servers over https only, the profile names an http URL`)
}

function refuseUrlQuery(profile: ScepProfile, os: Os): void {
  if (profile.scepUrls.every((url) => !/[?#]/.test(url))) return
  refuse(androidFacts.urlQuery, `${os.system} takes no SCEP URL with a query or a fragment, the profile names one`)
}

function protocolFor(profile: ScepProfile, root: Uint8Array, os: Os, behaviour: Behaviour, bindings: PlatformBindings) {
  const { transport, clock, jitter, legacyDes = false, legacySha1 = false } = bindings
  const hash = treatmentOf('hash', os) === 'honoured' ? profile.hash : undefined
  return scepProtocol({
    urls: profile.scepUrls,
    habits: behaviour.habits(profile.displayName),
    transport,
    trust: { root },
    ...(hash !== undefined && { hash }),
    legacyDes,
    legacySha1,
    clock,
    jitter,
  })
}
