import { AgentError, type Clock, type HttpTransport, httpTransport, type Transport } from '@certfleet/agent-core'
import { isOnThisMachine } from '../../keys/target.ts'
import type { Import, Tenant } from '../../tenant/index.ts'
import type { FleetTarget } from '../ports.ts'
import { policyServiceTarget } from './policy-service.ts'
import { type ScepChallenge, scepTarget } from './scep.ts'
import { type ScepPolicies, scepPolicies } from './scep-policies.ts'

/** What a fleet enrols with, as JSON that goes to its workers and nowhere else: secrets are in it. Certificates are DER in base64. */
export type TargetSettings = PolicyServiceSettings | ScepServerSettings

export interface PolicyServiceSettings {
  readonly kind: 'policy'
  readonly policyUrl: string
  /** A secret. */
  readonly registrationToken: string
  /** It is the embedded lab of the run: what it issues for keys that are no secret is worth nothing anywhere else. */
  readonly isOwnLab?: true
  /** Instead of the system's CAs. */
  readonly trustAnchors?: readonly string[]
}

export interface ScepServerSettings {
  readonly kind: 'scep'
  readonly scepUrl: string
  readonly root: string
  /** Instead of the system's CAs. */
  readonly trustAnchors?: readonly string[]
  /** A secret is in it. */
  readonly challenge?: ScepChallenge
}

/** What policies are made of where no service makes them. */
export interface PolicyOrigin {
  readonly imported: Import
  readonly tenant: Tenant
}

export interface OpenTargetOptions {
  /** For a SCEP server, which has none. */
  readonly policies?: PolicyOrigin | undefined
  /** Whether a policy service has a push channel. Default true. */
  readonly push?: boolean
  /** The address of this machine that push connections come from. Default: the system's choice. */
  readonly localAddress?: string | undefined
}

export function openTarget(settings: TargetSettings, { policies, push = true, localAddress }: OpenTargetOptions): FleetTarget {
  if (settings.kind === 'scep') {
    if (!policies) throw new Error('for a SCEP server alone the devices need profiles to make their policies of')
    const { policyFor } = policiesOf(settings, policies.imported, policies.tenant)
    return scepTarget({ policyFor, challenge: settings.challenge })
  }
  const { policyUrl, registrationToken } = settings
  return policyServiceTarget({ policyUrl, registrationToken, push, localAddress, trust: trustOf(settings) })
}

/** What the devices make of the profiles, with what is to be told of it. */
export function policiesOf({ root, scepUrl }: ScepServerSettings, imported: Import, tenant: Tenant): ScepPolicies {
  return scepPolicies(imported, tenant, { root: derOf(root), scepUrl })
}

export interface TargetTransportOptions {
  readonly clock: Clock
  /** For the whole exchange. Default 30 s. */
  readonly timeoutMs?: number | undefined
  /** At most so many connections to one origin. Default: no limit. */
  readonly connections?: number | undefined
  /** The address of this machine that connections come from. Default: the system's choice. */
  readonly localAddress?: string | undefined
  /** Told of each connection that was opened, how long that took. */
  readonly onConnect?: ((durationMs: number) => void) | undefined
  /** The keys are no secret: what leads off this machine and not to the run's own lab is refused, whoever names it (`ERR_UNSUPPORTED`). */
  readonly emulatedKeys: boolean
}

/**
 * The way to a target and to where its policies lead. The hosts that the settings name may be anywhere. What a policy names may not be at a
 * local address, unless the policy service was itself named by a loopback address.
 */
export function targetTransport(settings: TargetSettings, { emulatedKeys, ...options }: TargetTransportOptions): HttpTransport {
  const { close, wayTo } = openWays(settings, options)
  const wayOnly = (url: string): Transport => {
    if (emulatedKeys && !isOnThisMachine(url) && !isAtOwnLab(url, settings)) throw leavesThisMachine(url)
    return wayTo(url)
  }
  const ways = new Map<string, Transport>()
  return {
    async send(request, signal) {
      const key = hostPart(request.url)
      const way = ways.get(key) ?? wayOnly(request.url)
      if (ways.size < maxKnownWays) ways.set(key, way)
      return way.send(request, signal)
    },
    close,
  }
}

/** To parse a URL at every request costs as much as to write it. */
const maxKnownWays = 64

/** As much of a URL as its host follows from. */
function hostPart(url: string): string {
  const end = url.indexOf('/', 'https://'.length)
  return end < 0 ? url : url.slice(0, end)
}

function isAtOwnLab(url: string, settings: TargetSettings): boolean {
  if (settings.kind !== 'policy' || !settings.isOwnLab || !URL.canParse(url)) return false
  return new URL(url).origin === new URL(settings.policyUrl).origin
}

interface Ways {
  wayTo(url: string): Transport
  close(): Promise<void>
}

function openWays(settings: TargetSettings, options: Omit<TargetTransportOptions, 'emulatedKeys'>): Ways {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const shared = { ...given, ...trustOf(settings) }
  const named = httpTransport({ ...shared, allowLoopback: true, allowLinkLocal: true })
  if (settings.kind === 'scep') return { wayTo: () => named, close: named.close }
  const { hostname } = new URL(settings.policyUrl)
  const others = httpTransport({ ...shared, allowLoopback: isOnThisMachine(settings.policyUrl) })
  return {
    wayTo: (url) => (URL.canParse(url) && new URL(url).hostname === hostname ? named : others),
    close: async () => void (await Promise.all([named.close(), others.close()])),
  }
}

function leavesThisMachine(url: string): AgentError {
  const host = URL.canParse(url) ? new URL(url).host : 'a URL that cannot be read'
  return new AgentError('ERR_UNSUPPORTED', `${host} is not on this machine, which keys of a pool do not leave: they are no secret`)
}

/** Of the policy service, or of the SCEP server. */
export const urlOf = (settings: TargetSettings): string => (settings.kind === 'policy' ? settings.policyUrl : settings.scepUrl)

/** The URLs that a person named. */
export function urlsOf(settings: TargetSettings): readonly string[] {
  if (settings.kind === 'policy') return [settings.policyUrl]
  return settings.challenge?.kind === 'mscep-admin' ? [settings.scepUrl, settings.challenge.url] : [settings.scepUrl]
}

function trustOf({ trustAnchors }: TargetSettings): { trustAnchors?: readonly Uint8Array[] } {
  return trustAnchors ? { trustAnchors: trustAnchors.map(derOf) } : {}
}

const derOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'))
