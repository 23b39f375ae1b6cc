import 'reflect-metadata'
import type { webcrypto } from 'node:crypto'
import { parseCsr } from '@certfleet/agent-core/pki'
import { buildCertRep, buildPkiRequest, parseCertRep, transactionIdFor } from '@certfleet/agent-core/scep/messages'
import * as x509 from '@peculiar/x509'
import * as asn1js from 'asn1js'
import forge from 'node-forge'
import * as pkijs from 'pkijs'
import { type Client, makeCsr, type RecordedEnrolment, requestParts } from './client.ts'
import { perform, replyOperations, requestOperations, signers } from './crypto-operations.ts'
import type { Work } from './measure.ts'

/** One job, done by this project, by its bare operations, and by those peers that can do it. */
export interface Job {
  readonly name: string
  readonly bare: Work
  readonly certfleet: Work
  /** What a peer leaves out or does differently is in its name. */
  readonly peers: Readonly<Record<string, Work>>
}

const { subtle } = globalThis.crypto
const engine = new pkijs.CryptoEngine({ name: 'node', crypto: globalThis.crypto })
const rsaSha256 = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }

/** CSR, PKCSReq and CertRep of one key; every key is imported, and every certificate parsed, before. */
export async function jobsFor(record: RecordedEnrolment, client: Client): Promise<readonly Job[]> {
  const material = await peerMaterial(record, client)
  const { info } = parseCsr(record.csr)
  const request = requestOperations(record, client, signers.pool)
  const reply = replyOperations(record)
  const { csr, signer, rules, key } = record
  const transactionId = transactionIdFor(key.handle.publicKey)
  const { recipient } = client.ca
  return [
    {
      name: 'CSR build',
      bare: () => signers.pool('sha256', info, key.privateKey),
      certfleet: () => makeCsr(key),
      peers: { '@peculiar/x509': () => x509Csr(material), 'node-forge': () => forgeCsr(material) },
    },
    {
      name: 'PKCSReq build',
      bare: () => perform(request),
      certfleet: () => buildPkiRequest({ ...requestParts, content: csr, transactionId, recipient, signer }),
      peers: {
        'pkijs (OAEP: it has no PKCS#1 v1.5)': () => pkijsRequest(material),
        'node-forge (no SCEP attributes)': () => forgeRequest(material),
      },
    },
    {
      name: 'CertRep open',
      bare: () => perform(reply),
      certfleet: () => parseCertRep(record.reply, rules),
      peers: {
        'pkijs (OAEP: it has no PKCS#1 v1.5)': () => pkijsOpen(material),
        'node-forge (decrypts only: it verifies no SignedData)': () => forgeOpen(material),
      },
    },
  ]
}

type Material = Awaited<ReturnType<typeof peerMaterial>>

async function peerMaterial(record: RecordedEnrolment, { ca }: Client) {
  const { key, csr, signer, rules, leaf } = record
  const pkcs8 = key.privateKey.export({ format: 'der', type: 'pkcs8' })
  const pem = key.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  const oaepReply = await buildCertRep({
    request: { transactionId: rules.transactionId, senderNonce: rules.senderNonce, signer: signer.certificate },
    answer: { status: 'success', cipher: 'aes-128-cbc', keyTransport: 'oaep-sha256', certificates: [leaf.raw], crls: [] },
    signer,
    hash: 'sha256',
  })
  return {
    subject: key.subject,
    csr,
    pkcs8,
    oaepReply,
    envelope: pkijsEnvelope(record.reply),
    transactionId: rules.transactionId,
    webKeys: {
      privateKey: await subtle.importKey('pkcs8', Uint8Array.from(pkcs8), rsaSha256, false, ['sign']),
      publicKey: await subtle.importKey('spki', Uint8Array.from(key.handle.publicKey), rsaSha256, true, ['verify']),
    },
    signerCertificate: pkijs.Certificate.fromBER(Uint8Array.from(signer.certificate.raw)),
    recipient: pkijs.Certificate.fromBER(Uint8Array.from(ca.recipient.raw)),
    forgeKey: forge.pki.privateKeyFromPem(pem),
    forgeRecipient: forgeCertificate(ca.recipient.raw),
    forgeSigner: forgeCertificate(signer.certificate.raw),
  }
}

function forgeCertificate(der: Uint8Array): forge.pki.Certificate {
  return forge.pki.certificateFromAsn1(forge.asn1.fromDer(Buffer.from(der).toString('latin1')))
}

function x509Csr({ subject, webKeys }: Material): Promise<x509.Pkcs10CertificateRequest> {
  const keys = webKeys as webcrypto.CryptoKeyPair
  return x509.Pkcs10CertificateRequestGenerator.create(
    {
      name: subject,
      keys,
      signingAlgorithm: rsaSha256,
      extensions: [
        new x509.SubjectAlternativeNameExtension([
          { type: 'upn', value: 'device@example.com' },
          { type: 'dns', value: 'device.example.com' },
        ]),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      ],
      attributes: [new x509.ChallengePasswordAttribute('bench-only')],
    },
    globalThis.crypto,
  )
}

function forgeCsr({ subject, forgeKey }: Material): string {
  const request = forge.pki.createCertificationRequest()
  request.publicKey = forge.pki.setRsaPublicKey(forgeKey.n, forgeKey.e)
  request.setSubject(subject.split(',').map((part) => ({ shortName: part.split('=')[0] as string, value: part.split('=')[1] as string })))
  request.setAttributes([
    { name: 'challengePassword', value: 'bench-only' },
    {
      name: 'extensionRequest',
      extensions: [
        { name: 'subjectAltName', altNames: [{ type: 2, value: 'device.example.com' }] },
        { name: 'keyUsage', digitalSignature: true, keyEncipherment: true },
        { name: 'extKeyUsage', clientAuth: true },
      ],
    },
  ] as never)
  request.sign(forgeKey, forge.md.sha256.create())
  return forge.asn1.toDer(forge.pki.certificationRequestToAsn1(request)).getBytes()
}

async function pkijsRequest({ csr, recipient, signerCertificate, webKeys, transactionId }: Material): Promise<ArrayBuffer> {
  const enveloped = new pkijs.EnvelopedData()
  enveloped.policy = { disableSplit: true }
  enveloped.addRecipientByCertificate(recipient, { oaepHashAlgorithm: 'SHA-256' }, undefined, engine)
  await enveloped.encrypt({ name: 'AES-CBC', length: 128 } as never, Uint8Array.from(csr).buffer, engine)
  const envelope = contentInfo(pkijs.ContentInfo.ENVELOPED_DATA, enveloped.toSchema())
  const signed = new pkijs.SignedData({
    version: 1,
    encapContentInfo: new pkijs.EncapsulatedContentInfo({
      eContentType: pkijs.ContentInfo.DATA,
      eContent: new asn1js.OctetString({ valueHex: envelope }),
    }),
    signerInfos: [
      new pkijs.SignerInfo({
        version: 1,
        sid: new pkijs.IssuerAndSerialNumber({ issuer: signerCertificate.issuer, serialNumber: signerCertificate.serialNumber }),
        signedAttrs: new pkijs.SignedAndUnsignedAttributes({ type: 0, attributes: await pkijsAttributes(envelope, transactionId) }),
      }),
    ],
    certificates: [signerCertificate],
  })
  await signed.sign(webKeys.privateKey, 0, 'SHA-256', undefined, engine)
  return contentInfo(pkijs.ContentInfo.SIGNED_DATA, signed.toSchema(true))
}

async function pkijsAttributes(envelope: ArrayBuffer, transactionId: string): Promise<pkijs.Attribute[]> {
  const digest = await subtle.digest('SHA-256', envelope)
  const nonce = globalThis.crypto.getRandomValues(new Uint8Array(16))
  const values: [string, asn1js.BaseBlock][] = [
    ['1.2.840.113549.1.9.3', new asn1js.ObjectIdentifier({ value: pkijs.ContentInfo.DATA })],
    ['1.2.840.113549.1.9.4', new asn1js.OctetString({ valueHex: digest })],
    ['2.16.840.1.113733.1.9.2', new asn1js.PrintableString({ value: '19' })],
    ['2.16.840.1.113733.1.9.7', new asn1js.PrintableString({ value: transactionId })],
    ['2.16.840.1.113733.1.9.5', new asn1js.OctetString({ valueHex: nonce })],
  ]
  return values.map(([type, value]) => new pkijs.Attribute({ type, values: [value] }))
}

function contentInfo(contentType: string, content: object): ArrayBuffer {
  return new pkijs.ContentInfo({ contentType, content }).toSchema().toBER(false)
}

async function pkijsOpen({ oaepReply, signerCertificate, pkcs8 }: Material): Promise<pkijs.SignedData> {
  const signed = pkijsSignedData(oaepReply)
  if (!(await signed.verify({ signer: 0, checkChain: false }, engine))) throw new Error('pkijs does not verify the CertRep')
  const enveloped = new pkijs.EnvelopedData({ schema: pkijs.ContentInfo.fromBER(eContent(signed)).content })
  const decrypted = await enveloped.decrypt(
    0,
    { recipientCertificate: signerCertificate, recipientPrivateKey: Uint8Array.from(pkcs8).buffer },
    engine,
  )
  return pkijsSignedData(new Uint8Array(decrypted))
}

function pkijsEnvelope(reply: Uint8Array): string {
  return Buffer.from(eContent(pkijsSignedData(reply))).toString('latin1')
}

function pkijsSignedData(message: Uint8Array): pkijs.SignedData {
  return new pkijs.SignedData({ schema: pkijs.ContentInfo.fromBER(Uint8Array.from(message)).content })
}

function eContent({ encapContentInfo }: pkijs.SignedData): ArrayBuffer {
  return (encapContentInfo.eContent as asn1js.OctetString).getValue()
}

function forgeRequest({ csr, forgeRecipient, forgeSigner, forgeKey }: Material): string {
  const enveloped = forge.pkcs7.createEnvelopedData()
  enveloped.addRecipient(forgeRecipient)
  enveloped.content = forge.util.createBuffer(Buffer.from(csr).toString('latin1'))
  enveloped.encrypt(undefined, forge.pki.oids['aes128-CBC'] as never)
  const signed = forge.pkcs7.createSignedData()
  signed.content = forge.util.createBuffer(forge.asn1.toDer(enveloped.toAsn1()).getBytes())
  signed.addCertificate(forgeSigner)
  const oids = forge.pki.oids as Record<string, string>
  signed.addSigner({
    key: forgeKey as never,
    certificate: forgeSigner,
    digestAlgorithm: oids.sha256 as string,
    authenticatedAttributes: [{ type: oids.contentType as string, value: oids.data as string }, { type: oids.messageDigest as string }],
  })
  signed.sign()
  return forge.asn1.toDer(signed.toAsn1()).getBytes()
}

function forgeOpen({ envelope, forgeKey }: Material): string {
  const message = forge.pkcs7.messageFromAsn1(forge.asn1.fromDer(envelope)) as forge.pkcs7.PkcsEnvelopedData & {
    recipients: unknown[]
    content: forge.util.ByteStringBuffer
  }
  message.decrypt(message.recipients[0] as never, forgeKey as never)
  return message.content.getBytes()
}
