export { berLimits, normaliseBer } from '../der/ber.ts'
export { buildCertificatesOnly, type CertificateBag, openCertificatesOnly } from './certificates-only.ts'
export {
  buildEnvelopedData,
  type ContentCipher,
  type EnvelopeContents,
  type EnvelopeRecipient,
  type EnvelopeRules,
  type OpenedEnvelope,
  openEnvelopedData,
} from './enveloped-data.ts'
export { CmsOid } from './oids.ts'
export { issuerAndSerialNumber } from './recipient-identifier.ts'
export {
  buildSignedData,
  type CmsSigner,
  openSignedData,
  type SignedAttribute,
  type SignedDataContents,
  type SignedDataRules,
  type SignedMessage,
  signedAttribute,
} from './signed-data.ts'
