import { constructed, integer, oid, sequence, setOf, Tag, tlv } from '../der/index.ts'
import { contentInfo } from './content-info.ts'
import { CmsOid } from './oids.ts'
import { readSignedData } from './signed-data.ts'

/** Certificates and CRLs without order or signature, each DER. */
export interface CertificateBag {
  readonly certificates: readonly Uint8Array[]
  readonly crls: readonly Uint8Array[]
}

/** The degenerate SignedData that carries certificates and CRLs and is signed by nobody, DER (RFC 8894 3.4). */
export function buildCertificatesOnly({ certificates, crls }: CertificateBag): Uint8Array {
  const enclosed = [
    ...(certificates.length === 0 ? [] : [setOf(certificates, constructed(0))]),
    ...(crls.length === 0 ? [] : [setOf(crls, constructed(1))]),
  ]
  return contentInfo(CmsOid.SignedData, sequence(integer(1), tlv(Tag.Set), sequence(oid(CmsOid.Data)), ...enclosed, tlv(Tag.Set)))
}

/** What such a message carries, BER or DER. It proves nothing; signatures in it are not looked at. */
export function openCertificatesOnly(bytes: Uint8Array): CertificateBag {
  const { certificates, crls } = readSignedData(bytes)
  return { certificates, crls }
}
