import { oid, primitive, sequence, tlv } from '@certfleet/agent-core/der'
import { crlDistributionPointsExtension, ExtensionOid, type ExtensionValue, keyIdentifierOf } from '@certfleet/agent-core/pki'
import type { Authority } from '../authority.ts'
import { content, empty, type Route } from '../http.ts'
import { currentCrl, type RevocationOptions } from '../revocation.ts'

/** Where a certificate says its revocation is told of. Read at each issue, so that a port that is known late can be filled in. */
export interface Publication {
  /** Goes into cRLDistributionPoints with `/<the issuing CA's key identifier in hex>` behind it: each CA has a CRL of its own. */
  readonly crlUrl?: string | undefined
  /** Goes into authorityInfoAccess as it is: one responder answers for every CA. */
  readonly ocspUrl?: string | undefined
}

export const crlPath = '/crl'

const accessOcsp = '1.3.6.1.5.5.7.48.1'

export function publicationExtensions({ crlUrl, ocspUrl }: Publication, authority: Authority): ExtensionValue[] {
  return [
    ...(crlUrl === undefined ? [] : [crlDistributionPointsExtension([`${crlUrl}/${nameOf(authority)}`])]),
    ...(ocspUrl === undefined ? [] : [ocspAccessExtension(ocspUrl)]),
  ]
}

/** authorityInfoAccess with one OCSP responder (RFC 5280 4.2.2.1). */
function ocspAccessExtension(url: string): ExtensionValue {
  const description = sequence(oid(accessOcsp), tlv(primitive(6), Buffer.from(url, 'latin1')))
  return { oid: ExtensionOid.AuthorityInfoAccess, value: sequence(description) }
}

function nameOf({ issuing }: Authority): string {
  return Buffer.from(keyIdentifierOf(issuing.certificate.publicKey)).toString('hex')
}

/** GET /crl: the CRL of the CA that issues now; /crl/<key identifier>: that of the CA with this key, the former ones too. 404 for others. */
export function crlDistribution(options: RevocationOptions): Route {
  const { authorities } = options
  return {
    async GET(_, url) {
      const [, , wanted = ''] = url.pathname.toLowerCase().split('/')
      const authority = authorities.sofar().find((candidate) => wanted === '' || nameOf(candidate) === wanted)
      return authority ? content(200, 'application/pkix-crl', await currentCrl(authority, options)) : empty(404)
    },
  }
}
