export {
  type FailInfo,
  failInfos,
  type MessageType,
  messageTypes,
  type PkiStatus,
  type RequestType,
  type ScepFailure,
} from './attributes.ts'
export { buildNextCaCertificates, type CaCertificates, parseCaCertificates, parseNextCaCertificates } from './ca-certificates.ts'
export {
  type AlgorithmPolicy,
  type Capability,
  chooseAlgorithms,
  parseCapabilities,
  type ScepAlgorithms,
  type ScepCapabilities,
} from './capabilities.ts'
export { buildCertRep, type CertRep, type CertRepAnswer, type CertRepContents, type CertRepRules, parseCertRep } from './cert-rep.ts'
export { isPinned, type PinningRules, pinCaCertificates } from './pinning.ts'
export {
  buildPkiRequest,
  buildRequestSigner,
  issuerAndSubject,
  type OpenedRequest,
  type OpenRequestRules,
  openPkiRequest,
  type PkiRequest,
  type PkiRequestContents,
  transactionIdFor,
  verifyPkiRequest,
} from './pki-request.ts'
