import type { ValidationCode } from '../validation.ts'

/** What each code means here, for who operates the server that asked. */
export const explanations: Record<ValidationCode, string> = {
  AadKeyIdentifierListMissing: 'the profile asks for a registered key, and the device has none registered',
  BadCertificateRequestIdInChallenge: 'the challenge was redeemed by another transaction, or this one was never validated',
  BadDeviceIdInChallenge: 'the challenge is for a device that is not registered, or for another one than the request comes from',
  BadUserIdInChallenge: 'the challenge is for a user who is not the device’s any more',
  CertificateRequestDecodingFailed: 'the request is no PKCS#10 request in base64 that its own key has signed',
  ChallengeDecodingError: 'the challenge is not base64, or too short',
  ChallengeDecryptionError: 'the challenge is signed, but encrypted under a key that is no longer in use',
  ChallengeDeserializationError: 'the challenge holds what a lab of another version wrote',
  ChallengeExpired: 'the challenge is older than 60 minutes',
  ChallengeInvalidTimestamp: 'the challenge says that it was made in the future',
  ChallengePasswordMissing: 'the request has no challengePassword attribute',
  EnhancedKeyUsageMismatch: 'the request asks for other extended key usages than the profile',
  EnhancedKeyUsageMissing: 'the request asks for no extended key usage, and the profile does',
  KeyLengthMismatch: 'the key has another length than the profile asks for, or is not sound',
  KeyUsageMismatch: 'the request asks for other key usages than the profile, or to be a CA',
  RegisteredKeyMismatch: 'the key is none of those registered for the device, or not the key of this transaction',
  ScepProfileNoLongerTargetedToTheClient: 'the profile is no longer assigned to the device',
  SignatureValidationFailed: 'the challenge was not signed by this lab, or was altered',
  SigningCertThumbprintMismatch: 'the certificate that signed the renewal is not one in force',
  SubjectAltNameMismatch: 'the request has other alternative names than the profile asks for',
  SubjectAltNameMissing: 'the request has no alternative names, and the profile asks for some',
  SubjectNameMismatch: 'the request has another subject than the profile asks for',
  SubjectNameMissing: 'the request has no subject, and the profile asks for one',
}
