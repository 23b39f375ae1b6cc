export { digestOids, hashByOid, importPublicKey, signatureAlgorithm } from './algorithms.ts'
export { buildCertificate, type CertificateContents, type NameInput, nameDer } from './build-certificate.ts'
export { buildCrl, type CrlContents, type CrlReason, crlReasons, type RevokedCertificate } from './build-crl.ts'
export { buildOcspResponse, type OcspAnswer, type OcspContents, type OcspStatus, ocspErrorResponse } from './build-ocsp.ts'
export {
  type AlgorithmIdentifier,
  type Certificate,
  fingerprintOf,
  isSelfSigned,
  parseCertificate,
  publicKeyOf,
  serialNumberHex,
} from './certificate.ts'
export {
  type AuthorityKeyIdentifier,
  type BasicConstraints,
  type Extension,
  ExtensionOid,
  type GeneralName,
  type KeyUsageBit,
} from './certificate-extensions.ts'
export { type CertificateRequest, type CsrContents, createCsr, parseCsr, verifyCsr } from './csr.ts'
export {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  crlDistributionPointsExtension,
  type ExtensionValue,
  encodeExtensions,
  extendedKeyUsageExtension,
  keyIdentifierOf,
  keyUsageExtension,
  subjectAltNameExtension,
  subjectKeyIdentifierExtension,
} from './extensions.ts'
export { type IssuedCheck, verifyIssued } from './issued.ts'
export {
  canonicalRdns,
  decodeName,
  encodeName,
  formatName,
  type NameAttribute,
  parseDistinguishedName,
  quoteNameValue,
  type Rdn,
  sameName,
} from './names.ts'
export { type OcspCertId, type OcspRequest, parseOcspRequest } from './ocsp.ts'
export { CsrAttributeOid, NameOid, PurposeOid } from './oids.ts'
export {
  type CertificateRevocationList,
  type PathFailure,
  type PathFailureCode,
  type PathRequest,
  type PathVerdict,
  parseCrl,
  verifyPath,
} from './path/index.ts'
export { decodeSubjectAltNames, encodeSubjectAltNames, readSubjectAltNames } from './subject-alt-names.ts'
