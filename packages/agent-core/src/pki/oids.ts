/** Attribute types of names (RFC 5280 4.1.2.4, RFC 4519), by the short name that is written. */
export const NameOid = {
  CN: '2.5.4.3',
  SN: '2.5.4.4',
  SERIALNUMBER: '2.5.4.5',
  C: '2.5.4.6',
  L: '2.5.4.7',
  S: '2.5.4.8',
  STREET: '2.5.4.9',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  T: '2.5.4.12',
  DESCRIPTION: '2.5.4.13',
  POSTALCODE: '2.5.4.17',
  G: '2.5.4.42',
  I: '2.5.4.43',
  DNQUALIFIER: '2.5.4.46',
  UID: '0.9.2342.19200300.100.1.1',
  DC: '0.9.2342.19200300.100.1.25',
  E: '1.2.840.113549.1.9.1',
} as const

/** PKCS#10 attributes (RFC 2985 5.4, RFC 2986); Windows clients also use their own type for the requested extensions. */
export const CsrAttributeOid = {
  ChallengePassword: '1.2.840.113549.1.9.7',
  ExtensionRequest: '1.2.840.113549.1.9.14',
  MicrosoftExtensions: '1.3.6.1.4.1.311.2.1.14',
} as const

/** RFC 5280 4.2.1.12 and Microsoft's smart card logon. */
export const PurposeOid = {
  ServerAuth: '1.3.6.1.5.5.7.3.1',
  ClientAuth: '1.3.6.1.5.5.7.3.2',
  CodeSigning: '1.3.6.1.5.5.7.3.3',
  EmailProtection: '1.3.6.1.5.5.7.3.4',
  SmartCardLogon: '1.3.6.1.4.1.311.20.2.2',
  Any: '2.5.29.37.0',
} as const
