import type { Fact } from './fact.ts'
import { systems } from './os.ts'

const apple = ['ios', 'macos'] as const
const android = ['android'] as const

/** What the SCEP clients put on the wire and take from it, beside what each system's own facts say. */
export const wireFacts = {
  signerUsage: {
    id: 'scep.signer-key-usage',
    platforms: systems,
    effect: 'The certificate that signs a first request may sign and encipher keys, whoever makes it.',
    value: ['digitalSignature', 'keyEncipherment'],
    source: 'RFC8894 2.3; A-SEC SecSCEP',
    confidence: 'V',
  },
  sameServer: {
    id: 'scep.same-server',
    platforms: systems,
    effect:
      'All calls of a request go to one server: where it is lost in between, the request fails, and the next try begins with a fresh order.',
    value: 'GetCACaps, GetCACert, PKIOperation',
    source: 'M-SCEP SCEP server URLs',
    confidence: 'V',
  },
  appleNonce: {
    id: 'apple.scep.nonce',
    platforms: apple,
    effect: 'A senderNonce has 16 octets and is another in every message.',
    value: 16,
    source: 'A-SEC SecSCEP',
    confidence: 'V',
  },
  appleReply: {
    id: 'apple.scep.reply-checks',
    platforms: apple,
    effect:
      'The published source compares no recipientNonce and takes a reply without messageType and pkiStatus for a success; certfleet refuses both.',
    value: 'refused here',
    source: 'A-SEC SecSCEP',
    confidence: 'V',
  },
  appleAlgorithms: {
    id: 'apple.scep.ndes-algorithms',
    platforms: apple,
    effect: 'Against NDES, which offers SHA-512 and 3DES, a message is signed over SHA-512 and encrypted with 3DES.',
    value: 'sha512, des-ede3-cbc',
    alternatives: [],
    source: 'ID-NDES iOS log',
    confidence: 'D',
    singleLog: true,
  },
  iosNeedsDigest: {
    id: 'ios.scep.needs-digest',
    platforms: ['ios'],
    since: '10',
    effect: 'A CA that offers none of SHA-1, SHA-256 and SHA-512 has insufficient capabilities, whatever ciphers it offers.',
    value: 'SHA-1, SHA-256, SHA-512',
    source: 'MICROMDM scep#23; A-ERR MCSCEPErrorDomain 22006',
    confidence: 'V',
  },
  macosNeedsDigest: {
    id: 'macos.scep.needs-digest',
    platforms: ['macos'],
    since: '10.12',
    effect: 'What iOS asks of the capabilities is taken to hold for the macOS of the same year and later.',
    value: 'SHA-1, SHA-256, SHA-512',
    alternatives: ['off'],
    source: 'MICROMDM scep#23',
    confidence: 'I',
  },
  androidSerialNumber: {
    id: 'android.scep.signer-serial-number',
    platforms: android,
    effect: 'The certificate that signs a first request has the serial number 1.',
    value: 1,
    source: 'ID-NDES Android log',
    confidence: 'V',
    singleLog: true,
  },
  androidDigest: {
    id: 'android.scep.digest',
    platforms: android,
    effect: "A message is signed over the strongest digest that the CA offers; the profile's is the CSR's.",
    value: 'strongest',
    source: 'J Client',
    confidence: 'V',
  },
  androidNoCapabilities: {
    id: 'android.scep.no-capabilities',
    platforms: android,
    effect:
      'Where GetCACaps fails the library goes on with DES and MD5; certfleet goes on with AES-128 and SHA-256, never below (RFC 8894 2.9).',
    value: 'aes-128-cbc, sha256',
    source: 'J Client',
    confidence: 'V',
  },
  androidReply: {
    id: 'android.scep.reply-checks',
    platforms: android,
    effect: 'A reply must have the transactionID and the nonce of its request; that a senderNonce came before is not looked for here.',
    value: 'transactionID, recipientNonce',
    source: 'J EnrollmentTransaction',
    confidence: 'V',
  },
} as const satisfies Record<string, Fact>
