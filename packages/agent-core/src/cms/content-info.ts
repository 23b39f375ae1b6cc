import { normaliseBer } from '../der/ber.ts'
import { constructed, expectTag, explicit, malformed, oid, readChildren, readOid, readSequence, sequence, type Tlv } from '../der/index.ts'

/** ContentInfo (RFC 5652 3). */
export function contentInfo(type: string, content: Uint8Array): Uint8Array {
  return sequence(oid(type), explicit(0, content))
}

/** The content of a ContentInfo of that type, BER or DER, as DER. Another type, or none: `ERR_DER_MALFORMED`. */
export function readContentInfo(bytes: Uint8Array, type: string, what: string): Tlv {
  const [contentType, wrapped, ...rest] = readSequence(normaliseBer(bytes, what), what)
  const found = readOid(contentType, `${what} content type`)
  if (found !== type) malformed(what, `content type ${found}, expected ${type}`)
  const [content, ...more] = readChildren(expectTag(wrapped, constructed(0), what).value, what)
  if (content === undefined || rest.length > 0 || more.length > 0) malformed(what, 'it is not one content with its type')
  return content
}
