import type { PolicyDocument } from '@certfleet/agent-core'
import { assignProfiles, type Import, type Replacement, renderPolicy, retarget, type Tenant } from '../../tenant/index.ts'

export interface ScepServer {
  /** What its certificates lead to, DER. */
  readonly root: Uint8Array
  readonly scepUrl: string
}

/** What devices get where nobody serves policies. */
export interface ScepPolicies {
  /** Made anew each time, and alike each time. Fails with `ERR_PROFILE_INVALID` for a device that the tenant lacks. */
  policyFor(deviceId: string): PolicyDocument
  readonly replaced: readonly Replacement[]
  /** Profiles that no device gets, because their keys would come from a service that is not there. */
  readonly impossible: readonly { readonly id: string; readonly displayName: string }[]
}

const reason = 'a SCEP server alone delivers no PKCS and no imported PFX certificates; that takes a policy service'

/** The profiles pointed at one server, for each device of the tenant. PFX profiles are for none of them, which its report says. */
export function scepPolicies(imported: Import, tenant: Tenant, { root, scepUrl }: ScepServer): ScepPolicies {
  const { imported: pointed, replaced } = retarget(imported, { root, scepUrl })
  const { intent } = assignProfiles(pointed, tenant)
  return {
    policyFor(deviceId) {
      const { pfxProfiles = [], notApplicable = [], ...policy } = renderPolicy(intent, tenant, deviceId, { revision: 1 })
      const without = [...notApplicable, ...pfxProfiles.map(({ id, displayName }) => ({ id, displayName, reason }))]
      return { ...policy, ...(without.length > 0 && { notApplicable: without }) }
    },
    replaced: replaced.filter(({ member }) => memberOfScep.has(member)),
    impossible: imported.profiles
      .filter(({ kind }) => kind === 'pkcs' || kind === 'imported-pfx')
      .map(({ id, displayName }) => ({ id, displayName })),
  }
}

const memberOfScep: ReadonlySet<Replacement['member']> = new Set(['trustedRootCertificate', 'destinationStore', 'scepServerUrls'])
