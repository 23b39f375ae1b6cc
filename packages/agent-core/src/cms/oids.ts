/** Content types and attributes (RFC 5652). */
export const CmsOid = {
  Data: '1.2.840.113549.1.7.1',
  SignedData: '1.2.840.113549.1.7.2',
  EnvelopedData: '1.2.840.113549.1.7.3',
  ContentType: '1.2.840.113549.1.9.3',
  MessageDigest: '1.2.840.113549.1.9.4',
} as const
