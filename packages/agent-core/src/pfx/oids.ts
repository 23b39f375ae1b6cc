/** Content types (RFC 5652, RFC 2315). */
export const ContentOid = {
  Data: '1.2.840.113549.1.7.1',
  EncryptedData: '1.2.840.113549.1.7.6',
} as const

/** Bag types (RFC 7292 appendix D). */
export const BagOid = {
  Key: '1.2.840.113549.1.12.10.1.1',
  ShroudedKey: '1.2.840.113549.1.12.10.1.2',
  Certificate: '1.2.840.113549.1.12.10.1.3',
  Crl: '1.2.840.113549.1.12.10.1.4',
  Secret: '1.2.840.113549.1.12.10.1.5',
  SafeContents: '1.2.840.113549.1.12.10.1.6',
} as const

/** Bag attributes and the certificate type (RFC 2985 5.5). */
export const FriendlyNameOid = '1.2.840.113549.1.9.20'
export const LocalKeyIdOid = '1.2.840.113549.1.9.21'
export const X509CertificateOid = '1.2.840.113549.1.9.22.1'

/** Password-based schemes (RFC 8018 appendix A). */
export const SchemeOid = {
  Pbkdf2: '1.2.840.113549.1.5.12',
  Pbes2: '1.2.840.113549.1.5.13',
  Pbmac1: '1.2.840.113549.1.5.14',
} as const

/** RFC 8018 appendix B.1.2. */
export const hmacOids = {
  sha1: '1.2.840.113549.2.7',
  sha256: '1.2.840.113549.2.9',
  sha384: '1.2.840.113549.2.10',
  sha512: '1.2.840.113549.2.11',
} as const
