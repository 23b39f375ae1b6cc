import { normaliseBer, openCertificatesOnly, openEnvelopedData, openSignedData, type SignedMessage } from '@certfleet/agent-core/cms'
import { readSequence } from '@certfleet/agent-core/der'
import {
  type Certificate,
  formatName,
  isSelfSigned,
  parseCertificate,
  parseCrl,
  parseCsr,
  readSubjectAltNames,
  serialNumberHex,
  verifyCsr,
  verifyIssued,
  verifyPath,
} from '@certfleet/agent-core/pki'
import {
  type CaCertificates,
  openPkiRequest,
  parseCaCertificates,
  parseCertRep,
  parseNextCaCertificates,
  verifyPkiRequest,
} from '@certfleet/agent-core/scep/messages'
import { publicKeyOf } from '#agent-core/pki/certificate.ts'
import { verifySignature } from '#agent-core/pki/path/signature.ts'
import { answeredTransaction, requestNonce, type Sample, type SampleKind } from './corpus.ts'
import { delivery } from './delivery-target.ts'
import { pfx } from './pfx-target.ts'
import type { Probe } from './probe.ts'
import type { Random } from './random.ts'
import { capabilities, distinguishedName, name, outerless, policy } from './text-targets.ts'
import { at, host, type World } from './world.ts'

/** One mutant on its way through the parsers. */
export interface Trial {
  readonly mutant: Uint8Array
  readonly sample: Sample
  /** Made by someone who has the keys: what it says may be new. */
  readonly isResealed: boolean
  readonly random: Random
  readonly probe: Probe
}

type Target = (trial: Trial) => void | Promise<void>

/** Sends mutants through every entry that could be given such bytes, and once in a while through all entries. */
export class Targets {
  readonly #world: World
  readonly #known: ReadonlySet<string>
  readonly #byKind: Readonly<Record<SampleKind, Target>>

  constructor(world: World, samples: readonly Sample[]) {
    this.#world = world
    const holders = Object.values(world).map(({ certificate }) => certificate)
    this.#known = new Set([...holders.map(({ tbs }) => hex(tbs)), ...samples.flatMap(signedTexts(world))])
    this.#byKind = {
      certificate: (trial) => this.#certificate(trial),
      crl: (trial) => this.#crl(trial),
      csr: (trial) => this.#csr(trial),
      request: (trial) => this.#request(trial),
      certRep: (trial) => this.#certRep(trial),
      caCertificates: (trial) => this.#caCertificates(trial),
      nextCaCertificates: (trial) => this.#nextCaCertificates(trial),
      envelope: (trial) => this.#envelope(trial.mutant, trial.probe),
      signedData: (trial) => void this.#signedData(trial, 'enclosed'),
      pfx: (trial) => pfx(world, trial),
      name,
      distinguishedName,
      capabilities,
      policy,
      delivery,
    }
  }

  async run(trial: Trial): Promise<void> {
    const { mutant, sample, random, probe } = trial
    if (sample.kind in outerless) return this.#byKind[sample.kind](trial)
    const normal = probe.call('normaliseBer', () => normaliseBer(mutant))
    if (normal && probe.call('readSequence', () => readSequence(normal, 'mutant'))) probe.reach('outerParse')
    if (normal && probe.call('normaliseBer again', () => normaliseBer(normal)) !== normal)
      probe.forged('normaliseBer', 'not the same again')
    await this.#byKind[sample.kind](trial)
    if (random.oneIn(64)) for (const target of Object.values(this.#byKind)) await target({ ...trial, isResealed: true })
  }

  #certificate({ mutant, isResealed, random, probe }: Trial): void {
    const { root, issuing, leaf } = this.#world
    const certificate = probe.call('parseCertificate', () => parseCertificate(mutant))
    if (!certificate) return
    probe.reach('parsed')
    probe.call('formatName', () => formatName(certificate.subject))
    probe.call('readSubjectAltNames', () => readSubjectAltNames(certificate))
    probe.call('serialNumberHex', () => serialNumberHex(certificate))
    probe.call('isSelfSigned', () => isSelfSigned(certificate))
    const issuers = [issuing.certificate, root.certificate]
    if (issuers.some((issuer) => this.#isSigned(certificate, issuer))) probe.reach('signatureGood')
    this.#judge('verifyPath as leaf', certificate, [issuing.certificate], { isResealed, random, probe })
    this.#judge('verifyPath as intermediate', leaf.certificate, [certificate], { isResealed, random, probe })
    probe.call('verifyIssued', () => this.#verifyIssued([mutant, issuing.certificate.raw]))
  }

  #judge(
    entry: string,
    leaf: Certificate,
    intermediates: readonly Certificate[],
    { isResealed, random, probe }: Pick<Trial, 'isResealed' | 'random' | 'probe'>,
  ): void {
    const options = { ...(random.oneIn(4) && { hostname: host }), ...(random.oneIn(4) && { purpose: '1.3.6.1.5.5.7.3.2' }) }
    const roots = [this.#world.root.certificate]
    const verdict = probe.call(entry, () => verifyPath({ leaf, intermediates, roots, at, minRsaBits: 1024, legacySha1: true, ...options }))
    if (!verdict) return
    probe.reach('certificateJudged')
    if (verdict.ok && !isResealed && !verdict.chain.every(({ tbs }) => this.#known.has(hex(tbs))))
      probe.forged(entry, 'a path over an unknown certificate')
  }

  #isSigned(signed: Pick<Certificate, 'signatureAlgorithm' | 'tbs' | 'signature'>, issuer: Certificate): boolean {
    return verifySignature(publicKeyOf(issuer), signed.signatureAlgorithm, signed.tbs, signed.signature)
  }

  #verifyIssued(issued: readonly Uint8Array[]) {
    const { root, client } = this.#world
    const { publicKey } = client.key.handle
    const keySpec = { algorithm: 'rsa', bits: 1024 } as const
    return verifyIssued({
      issued,
      request: { subject: 'CN=device', subjectAltNames: [], keySpec },
      key: { publicKey },
      root: root.certificate.raw,
      at,
    })
  }

  #crl({ mutant, probe }: Trial): void {
    const { root, issuing, leaf } = this.#world
    const crl = probe.call('parseCrl', () => parseCrl(mutant))
    if (!crl) return
    probe.reach('parsed')
    if (this.#isSigned(crl, issuing.certificate)) probe.reach('signatureGood')
    const request = {
      leaf: leaf.certificate,
      intermediates: [issuing.certificate],
      roots: [root.certificate],
      at,
      minRsaBits: 1024,
      crls: [crl],
    }
    if (probe.call('verifyPath with CRL', () => verifyPath(request))) probe.reach('certificateJudged')
  }

  #csr({ mutant, isResealed, probe }: Trial): void {
    const request = probe.call('parseCsr', () => parseCsr(mutant, { allowBadVersion: true }))
    if (!request) return
    probe.reach('parsed')
    probe.call('parseCsr', () => parseCsr(mutant))
    const isVerified = probe.call('verifyCsr', () => {
      verifyCsr(request, { legacySha1: true })
      return true
    })
    if (!isVerified) return
    probe.reach('signatureGood')
    if (!isResealed && !this.#known.has(hex(request.info))) probe.forged('verifyCsr', 'a request that was not signed')
  }

  /** The message, if its signature is good; what it covers is then what its signer signed. */
  #signedData({ mutant, isResealed, probe }: Trial, signers: readonly Certificate[] | 'enclosed'): SignedMessage | undefined {
    const message = probe.call('openSignedData', () => openSignedData(mutant, { signers, legacySha1: true }))
    if (!message) return undefined
    probe.reach('parsed')
    probe.reach('signatureGood')
    if (!isResealed && !this.#known.has(signedText(message))) probe.forged('openSignedData', 'a message that was not signed')
    return message
  }

  async #envelope(bytes: Uint8Array, probe: Probe): Promise<void> {
    const recipients = this.#recipients()
    const opened = await probe.callAsync('openEnvelopedData', () => openEnvelopedData(bytes, { recipients, legacyDes: true }))
    if (!opened) return
    probe.reach('decrypted')
    probe.call('openCertificatesOnly', () => openCertificatesOnly(opened.content))
  }

  #recipients() {
    return [this.#world.ra, this.#world.client, this.#world.leaf].map(({ certificate, key }) => ({ certificate, key: key.handle }))
  }

  async #request(trial: Trial): Promise<void> {
    const { mutant, probe } = trial
    const message = this.#signedData(trial, 'enclosed')
    const request = probe.call('verifyPkiRequest', () => verifyPkiRequest(mutant, { legacySha1: true }))
    if (request) {
      probe.reach('attributesRead')
      const rules = { recipients: this.#recipients(), legacyDes: true, legacySha1: true, allowBadVersion: true }
      const opened = await probe.callAsync('openPkiRequest', () => openPkiRequest(request, rules))
      if (opened) probe.reach('decrypted')
      else await this.#envelope(request.envelope, probe)
    }
    if (message) this.#certificate({ ...trial, mutant: message.signer.raw, isResealed: true })
    probe.call('openCertificatesOnly', () => openCertificatesOnly(mutant))
  }

  async #certRep(trial: Trial): Promise<void> {
    const { mutant, sample, isResealed, probe } = trial
    const { ra, issuing, root, client } = this.#world
    const answer = sample.answer ?? { transactionId: answeredTransaction, senderNonce: requestNonce }
    const signers = sample.answer?.signers ?? [ra.certificate, issuing.certificate]
    const message = this.#signedData(trial, signers)
    const recipient = { certificate: client.certificate, key: client.key.handle }
    const rules = { ...answer, signers, recipient, legacySha1: true, legacyDes: true }
    const reply = await probe.callAsync('parseCertRep', () => parseCertRep(mutant, rules))
    if (!reply && message?.content) await this.#envelope(message.content, probe)
    if (!reply) return
    probe.reach('attributesRead')
    if (reply.status !== 'success') return
    probe.reach('decrypted')
    const issued = [client, this.#world.leaf, issuing, root].map(({ certificate }) => hex(certificate.raw))
    if (!isResealed && !reply.certificates.every((der) => issued.includes(hex(der))))
      probe.forged('parseCertRep', 'a certificate that was not sent')
    for (const der of reply.certificates.slice(0, 4)) this.#certificate({ ...trial, mutant: der })
    probe.call('verifyIssued', () => this.#verifyIssued(reply.certificates))
  }

  #caCertificates(trial: Trial): void {
    const { mutant, probe } = trial
    const parsed = probe.call('parseCaCertificates', () => parseCaCertificates(mutant))
    const bag = probe.call('openCertificatesOnly', () => openCertificatesOnly(mutant))
    if (parsed) this.#judgeCa(parsed, trial)
    else if (bag) for (const der of bag.certificates.slice(0, 4)) probe.call('parseCertificate', () => parseCertificate(der))
  }

  #judgeCa({ recipient, authorities }: CaCertificates, trial: Trial): void {
    trial.probe.reach('parsed')
    this.#judge('verifyPath of the recipient', recipient, authorities, trial)
  }

  #nextCaCertificates(trial: Trial): void {
    const { mutant, isResealed, probe } = trial
    const signers = [this.#world.ra.certificate]
    this.#signedData(trial, signers)
    const next = probe.call('parseNextCaCertificates', () => parseNextCaCertificates(mutant, { signers }))
    if (!next) return
    probe.reach('attributesRead')
    this.#judgeCa(next, trial)
    if (!isResealed && !next.authorities.every(({ tbs }) => this.#known.has(hex(tbs))))
      probe.forged('parseNextCaCertificates', 'an unknown CA')
  }
}

function signedTexts(world: World) {
  return ({ kind, bytes, answer }: Sample): string[] => {
    const isSigned = kind === 'request' || kind === 'certRep' || kind === 'nextCaCertificates' || kind === 'signedData'
    if (kind === 'csr') return [hex(parseCsr(bytes, { allowBadVersion: true }).info)]
    if (kind === 'certificate') return [hex(parseCertificate(bytes).tbs)]
    const signers = answer?.signers ?? (kind === 'certRep' || kind === 'nextCaCertificates' ? [world.ra.certificate] : 'enclosed')
    return isSigned ? [signedText(openSignedData(bytes, { signers, legacySha1: true }))] : []
  }
}

/** All that the signature covers. */
function signedText({ content, attributes }: SignedMessage): string {
  const texts = [...attributes].map(([type, values]) => `${type} ${values.map(({ raw }) => hex(raw)).join()}`)
  return [content ? hex(content) : '-', ...texts].join('\n')
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}
