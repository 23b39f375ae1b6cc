import type { CmsSigner } from '@certfleet/agent-core/cms'
import { ndesFacts, says } from '@certfleet/platforms'
import type { Route } from '../http.ts'
import { type NdesRouteOptions, ndes, scepPaths } from '../ndes.ts'
import { adminPaths, mscepAdmin, type NdesAdministrator } from './admin.ts'
import { oneTimePasswords } from './passwords.ts'
import { renewableAuthorities } from './ra-certificates.ts'
import type { NdesRegistry } from './records.ts'
import { openRegistry } from './registry.ts'
import { documentedFiltering, type NdesConditions, onSite, type RequestFiltering } from './site.ts'

/** How NDES is set up. */
export interface NdesOptions {
  /** The policy module is installed: a GET without operation is 403 (S57), else a page. Default true. */
  readonly policyModule?: boolean | undefined
  /** Who gets passwords from `mscep_admin`. Default: nobody. */
  readonly administrators?: readonly NdesAdministrator[] | undefined
  /** Default: `documentedFiltering` (S56). */
  readonly requestFiltering?: RequestFiltering | undefined
  /** Refuse a POST whose length is not told, as IIS does. Default false. */
  readonly refuseChunked?: boolean | undefined
  /**
   * List the capabilities that NDES lists: no AES, no SCEPStandard, no GetNextCACert, and SHA-1, which takes `legacySha1` besides.
   * Default false: what the lab takes.
   */
  readonly ndesCapabilities?: boolean | undefined
  /** Lifetime of RA certificates that are renewed. Default two years of 365 days. */
  readonly raValidityMs?: number | undefined
  /** For how long requests to RA certificates are opened after these were renewed. Default a week. */
  readonly raGraceMs?: number | undefined
}

/** What an operator does to NDES. */
export interface NdesControl {
  /** The registry values as they were set last. */
  registry(): NdesRegistry
  /** Sets registry values; they count after `restartIis` (S55). One that is out of range: `ERR_UNSUPPORTED`. */
  setRegistry(values: Partial<NdesRegistry>): Promise<void>
  /** Reads the registry again. Passwords that were handed out and not used are forgotten. */
  restartIis(): Promise<void>
  /** Breaks or mends the host. Forgotten when the lab ends. */
  set(conditions: Partial<NdesConditions>): void
  /** New keys and certificates for the RA. Where the ones before had expired, every SCEP request was answered 500. */
  renewRegistrationAuthority(): Promise<void>
}

export interface NdesService {
  readonly routes: readonly (readonly [path: string, route: Route])[]
  readonly control: NdesControl
  /** The RA's, as it answers now. */
  readonly signer: () => CmsSigner
}

export interface NdesServiceOptions extends Omit<NdesRouteOptions, 'oneTimePasswords' | 'registry' | 'policyModule' | 'ndesCapabilities'> {
  readonly ndes: NdesOptions
  /** The name of the template that all three registry values hold at first. */
  readonly defaultTemplate: string
}

const dayMs = 86_400_000
export const defaultRaValidityMs = says(ndesFacts.registrationAuthorityDays, {}) * dayMs

/** NDES: the SCEP endpoint, `mscep_admin`, and what an operator can do to both. */
export function openNdes({ ndes: settings, defaultTemplate, ...options }: NdesServiceOptions): NdesService {
  const { store, clock, audit } = options
  const { policyModule = true, ndesCapabilities = false, administrators = [] } = settings
  const { raValidityMs: validityMs = defaultRaValidityMs, raGraceMs: graceMs = 7 * dayMs } = settings
  const registry = openRegistry(store, defaultTemplate)
  const authorities = renewableAuthorities({ store, clock, authorities: options.authorities, validityMs, graceMs })
  const passwords = oneTimePasswords({ store, clock, audit, secret: authorities.secret, registry: registry.running })
  let conditions: NdesConditions = { applicationPool: 'running', account: 'ok' }
  const onHost = (route: Route) =>
    onSite(route, {
      conditions: () => conditions,
      filtering: settings.requestFiltering ?? documentedFiltering,
      refuseChunked: settings.refuseChunked ?? false,
      isExpired: authorities.isExpired,
      overrides: options.overrides,
    })
  const issuingCertificate = () => authorities.present().issuing.certificate.raw
  const scep = onHost(
    ndes({ ...options, authorities, oneTimePasswords: passwords, registry: registry.running, policyModule, ndesCapabilities }),
  )
  const admin = onHost(mscepAdmin({ administrators, passwords, issuingCertificate }))
  return {
    routes: [...scepPaths.map((path) => [path, scep] as const), ...adminPaths.map((path) => [path, admin] as const)],
    control: {
      registry: registry.configured,
      setRegistry: registry.set,
      async restartIis() {
        registry.reload()
        await passwords.forget()
      },
      set(changed) {
        conditions = { ...conditions, ...changed }
      },
      renewRegistrationAuthority: authorities.renew,
    },
    signer: () => authorities.present().signing,
  }
}
