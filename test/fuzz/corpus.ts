import { buildCertificatesOnly, issuerAndSerialNumber } from '@certfleet/agent-core/cms'
import { explicit, integer, nullValue, octetString, oid, sequence, time } from '@certfleet/agent-core/der'
import { type Certificate, createCsr } from '@certfleet/agent-core/pki'
import { issuerAndSubject, transactionIdFor } from '@certfleet/agent-core/scep/messages'
import type { ScepAttributes } from '#agent-core/scep/attributes.ts'
import { deliverySamples } from './delivery-samples.ts'
import { bodyOf, envelope, signedAttributes, signedBody, signedData } from './messages.ts'
import { pfxSamples } from './pfx-samples.ts'
import { Random, seedOf } from './random.ts'
import { textSamples } from './text-samples.ts'
import { at, type Holder, type World } from './world.ts'

export type SampleKind =
  | 'certificate'
  | 'crl'
  | 'csr'
  | 'request'
  | 'certRep'
  | 'caCertificates'
  | 'nextCaCertificates'
  | 'envelope'
  | 'signedData'
  | 'pfx'
  | 'name'
  | 'distinguishedName'
  | 'capabilities'
  | 'policy'
  | 'delivery'

/** A part of a message that is changed before it is signed or encrypted, and the way back to the whole message. */
export interface Layer {
  readonly name: string
  readonly bytes: Uint8Array
  seal(mutant: Uint8Array, random: Random): Uint8Array
}

export interface Sample {
  readonly name: string
  readonly kind: SampleKind
  readonly bytes: Uint8Array
  readonly layers: readonly Layer[]
  /** What a CertRep answers and who may have signed it, where that is not {@link answeredTransaction} and the RA. */
  readonly answer?: { readonly transactionId: string; readonly senderNonce: Uint8Array; readonly signers: readonly Certificate[] }
  /** What opens a PFX. */
  readonly password?: string
}

export const requestNonce = new Uint8Array(16).fill(7)

/** What we made ourselves; the same octets in every process. */
export async function ownSamples(world: World): Promise<readonly Sample[]> {
  const { root, issuing, ra, client, leaf } = world
  const csr = await createCsr({
    subject: 'CN=device,O=certfleet',
    subjectAltNames: [
      { type: 'dns', value: 'device.example.com' },
      { type: 'upn', value: 'device@example.com' },
    ],
    keyUsages: ['digitalSignature', 'keyEncipherment'],
    extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
    key: client.key.handle,
    hash: 'sha256',
    challenge: 'fuzz challenge',
  })
  const bag = buildCertificatesOnly({ certificates: [leaf.certificate.raw, issuing.certificate.raw], crls: [crlOf(issuing)] })
  const caBag = buildCertificatesOnly({ certificates: [root, issuing, ra].map(({ certificate }) => certificate.raw), crls: [] })
  const nextBag = buildCertificatesOnly({ certificates: [root.certificate.raw], crls: [] })
  return [
    bodySample('leaf', 'certificate', leaf.certificate.raw, issuing),
    bodySample('issuing CA', 'certificate', issuing.certificate.raw, root),
    bodySample('root', 'certificate', root.certificate.raw, root),
    bodySample('CRL', 'crl', crlOf(issuing), issuing),
    bodySample('CSR', 'csr', csr, client),
    enclosed('PKCSReq', 'request', requestAttributes('PKCSReq', client), csr, client, ra, csrLayers(csr, client)),
    enclosed('RenewalReq', 'request', requestAttributes('RenewalReq', leaf), csr, leaf, ra, csrLayers(csr, client)),
    enclosed('CertPoll', 'request', requestAttributes('CertPoll', client), pollContent(world), client, ra, []),
    enclosed('GetCert', 'request', requestAttributes('GetCert', client), issuerAndSerialNumber(leaf.certificate), client, ra, []),
    enclosed('CertRep success', 'certRep', answerAttributes({ pkiStatus: 'success' }), bag, ra, client, bagLayers(world)),
    bareAnswer('CertRep pending', answerAttributes({ pkiStatus: 'pending' }), ra),
    bareAnswer(
      'CertRep failure',
      answerAttributes({ pkiStatus: 'failure', failInfo: 'badRequest', failInfoText: 'no', hresult: 0x80070057 }),
      ra,
    ),
    { name: 'CA certificates', kind: 'caCertificates', bytes: caBag, layers: [] },
    nextCaSample(nextBag, ra, root),
    { name: 'envelope', kind: 'envelope', ...envelopeLayer(csr, ra) },
    signedSample(ra),
    { name: 'name', kind: 'name', bytes: root.certificate.subject, layers: [] },
    ...(await pfxSamples(world)),
    ...textSamples(root.certificate.raw),
    ...deliverySamples(world),
  ]
}

/** Certificates, CRLs and CSRs: a body that its issuer signs. */
function bodySample(name: string, kind: SampleKind, bytes: Uint8Array, { key }: Holder): Sample {
  return { name, kind, bytes, layers: [{ name: 'body', bytes: bodyOf(bytes), seal: (mutant) => signedBody(mutant, key) }] }
}

/** Version 2, with two entries, a number and a reason. */
function crlOf({ certificate, key }: Holder): Uint8Array {
  const reason = sequence(sequence(oid('2.5.29.21'), octetString(Uint8Array.of(0x0a, 1, 1))))
  const entries = [sequence(integer(1), time(at)), sequence(integer(0x1234), time(at), reason)]
  const extensions = sequence(sequence(oid('2.5.29.20'), octetString(integer(7))))
  const algorithm = sequence(oid('1.2.840.113549.1.1.11'), nullValue)
  const dates = [time(at - 1000), time(at + 86_400_000)]
  return signedBody(sequence(integer(1), algorithm, certificate.subject, ...dates, sequence(...entries), explicit(0, extensions)), key)
}

function requestAttributes(messageType: ScepAttributes['messageType'], { key }: Holder): ScepAttributes {
  return { messageType, transactionId: transactionIdFor(key.handle.publicKey), senderNonce: requestNonce }
}

/** To the client's PKCSReq. */
export const answeredTransaction = 'FUZZ-TRANSACTION-1'

function answerAttributes(rest: Partial<ScepAttributes>): ScepAttributes {
  const senderNonce = new Uint8Array(16).fill(9)
  return { messageType: 'CertRep', transactionId: answeredTransaction, senderNonce, recipientNonce: requestNonce, ...rest }
}

function pollContent({ issuing, client }: World): Uint8Array {
  return issuerAndSubject(issuing.certificate.subject, client.certificate.subject)
}

function csrLayers(csr: Uint8Array, { key }: Holder): readonly Layer[] {
  return [{ name: 'CSR body', bytes: bodyOf(csr), seal: (mutant) => signedBody(mutant, key) }]
}

/** A certificate that the CA really signed, in the bag that the RA really sent. */
function bagLayers({ leaf, issuing }: World): readonly Layer[] {
  const around = (certificate: Uint8Array) => buildCertificatesOnly({ certificates: [certificate, issuing.certificate.raw], crls: [] })
  return [
    { name: 'issued body', bytes: bodyOf(leaf.certificate.raw), seal: (mutant) => around(signedBody(mutant, issuing.key)) },
    { name: 'issued certificate', bytes: leaf.certificate.raw, seal: around },
  ]
}

/** A message whose content is encrypted, and can be changed at every depth. */
function enclosed(
  name: string,
  kind: SampleKind,
  attributes: ScepAttributes,
  content: Uint8Array,
  signer: Holder,
  recipient: Holder,
  inner: readonly Layer[],
): Sample {
  const sign = (enveloped: Uint8Array) => signedData(enveloped, signedAttributes(enveloped, attributes), signer)
  const send = (plain: Uint8Array, random: Random) => sign(envelope(plain, recipient.certificate, random))
  const random = new Random(seedOf(name), 0)
  const enveloped = envelope(content, recipient.certificate, random)
  return {
    name,
    kind,
    bytes: sign(enveloped),
    layers: [
      attributesLayer(enveloped, attributes, signer),
      { name: 'envelope', bytes: enveloped, seal: sign },
      { name: 'content', bytes: content, seal: send },
      ...inner.map((layer) => ({ ...layer, seal: (mutant: Uint8Array, random: Random) => send(layer.seal(mutant, random), random) })),
    ],
  }
}

function attributesLayer(content: Uint8Array | undefined, attributes: ScepAttributes | undefined, signer: Holder): Layer {
  return {
    name: 'signed attributes',
    bytes: signedAttributes(content, attributes),
    seal: (mutant) => signedData(content, mutant, signer),
  }
}

function bareAnswer(name: string, attributes: ScepAttributes, signer: Holder): Sample {
  const layer = attributesLayer(undefined, attributes, signer)
  return { name, kind: 'certRep', bytes: signedData(undefined, layer.bytes, signer), layers: [layer] }
}

function nextCaSample(bag: Uint8Array, signer: Holder, next: Holder): Sample {
  const sign = (content: Uint8Array) => signedData(content, signedAttributes(content), signer)
  const around = (certificate: Uint8Array) => sign(buildCertificatesOnly({ certificates: [certificate], crls: [] }))
  return {
    name: 'next CA certificates',
    kind: 'nextCaCertificates',
    bytes: sign(bag),
    layers: [
      { name: 'content', bytes: bag, seal: sign },
      { name: 'next certificate', bytes: next.certificate.raw, seal: around },
      attributesLayer(bag, undefined, signer),
    ],
  }
}

function envelopeLayer(content: Uint8Array, { certificate }: Holder) {
  const seal = (plain: Uint8Array, random: Random) => envelope(plain, certificate, random)
  return { bytes: seal(content, new Random(seedOf('envelope'), 0)), layers: [{ name: 'content', bytes: content, seal }] }
}

function signedSample(signer: Holder): Sample {
  const content = Buffer.from('signed content')
  const layer = attributesLayer(content, undefined, signer)
  return { name: 'signed data', kind: 'signedData', bytes: signedData(content, layer.bytes, signer), layers: [layer] }
}
