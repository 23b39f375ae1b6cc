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

export interface OpenTargetOptions {
  /** What policies are made of where no service makes them. */
  readonly imported: Import
  readonly tenant: Tenant
  /** Whether a policy service has a push channel. Default true. */
  readonly push?: boolean
  /** The address of this machine that push connections come from. Default: the system's choice. */
  readonly localAddress?: string | undefined
}

export function openTarget(settings: TargetSettings, { imported, tenant, push = true, localAddress }: OpenTargetOptions): FleetTarget {
  if (settings.kind === 'scep') {
    const { policyFor } = policiesOf(settings, imported, tenant)
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
  /** The keys are no secret: what leads off this machine is refused, whoever names it (`ERR_UNSUPPORTED`). */
  readonly emulatedKeys: boolean
}

/**
 * The way to a target and to where its policies lead. The hosts that the settings name may be anywhere. What a policy names may not be at a
 * local address, unless the policy service was itself named by a loopback address.
 */
export function targetTransport(settings: TargetSettings, { emulatedKeys, ...options }: TargetTransportOptions): HttpTransport {
  const opened = openTransport(settings, options)
  if (!emulatedKeys) return opened
  return { close: opened.close, send: (request, signal) => sendHere(opened, request, signal) }
}

function openTransport(settings: TargetSettings, options: Omit<TargetTransportOptions, 'emulatedKeys'>): HttpTransport {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const shared = { ...given, ...trustOf(settings) }
  const named = httpTransport({ ...shared, allowLoopback: true, allowLinkLocal: true })
  if (settings.kind === 'scep') return named
  const { hostname } = new URL(settings.policyUrl)
  const others = httpTransport({ ...shared, allowLoopback: isOnThisMachine(settings.policyUrl) })
  const wayTo = (url: string) => (URL.canParse(url) && new URL(url).hostname === hostname ? named : others)
  return {
    send: (request, signal) => wayTo(request.url).send(request, signal),
    close: async () => void (await Promise.all([named.close(), others.close()])),
  }
}

const sendHere: (way: Transport, ...sent: Parameters<Transport['send']>) => ReturnType<Transport['send']> = async (
  way,
  request,
  signal,
) => {
  if (isOnThisMachine(request.url)) return way.send(request, signal)
  const host = URL.canParse(request.url) ? new URL(request.url).host : 'a URL that cannot be read'
  throw new AgentError('ERR_UNSUPPORTED', `${host} is not on this machine, which keys of a pool do not leave: they are no secret`)
}

/** The URLs that a person named. */
export function urlsOf(settings: TargetSettings): readonly string[] {
  if (settings.kind === 'policy') return [settings.policyUrl]
  return settings.challenge?.kind === 'mscep-admin' ? [settings.scepUrl, settings.challenge.url] : [settings.scepUrl]
}

function trustOf({ trustAnchors }: TargetSettings): { trustAnchors?: readonly Uint8Array[] } {
  return trustAnchors ? { trustAnchors: trustAnchors.map(derOf) } : {}
}

const derOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'))
