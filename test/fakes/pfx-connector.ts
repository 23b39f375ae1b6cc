import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto'
import type { Clock, HttpRequest, HttpResponse, PolicyDocument } from '@certfleet/agent-core'
import { buildEnvelopedData } from '@certfleet/agent-core/cms'
import { buildPfx, type PfxContents } from '@certfleet/agent-core/pfx'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { testCertificate, testKey } from './certificates.ts'

const day = 86_400_000
const root = { subject: 'CN=PFX Root', key: await testKey('pfx-root') }
const issuing = { subject: 'CN=PFX Issuing', key: await testKey('pfx-issuing') }
const rootCertificate = await testCertificate({ ...root, ca: true })
const issuingCertificate = await testCertificate({ ...issuing, issuer: root, ca: true })

/** The CA behind it, DER. */
export const pfxCa = { root: rootCertificate, issuing: issuingCertificate }

export interface ConnectorMood {
  /** What it answers instead of a PFX. */
  readonly answer?: HttpResponse
  /** What the PFX is made of, over what is right. */
  readonly contents?: Partial<PfxContents>
  /** What is in the envelope instead of the password. */
  readonly told?: string
  /** Encrypted to whom instead of the device. */
  readonly recipient?: Uint8Array
  /** The certificate's life. Default 100 days from now. */
  readonly validFor?: { readonly notBefore: number; readonly notAfter: number }
  readonly ca?: boolean
  /** Leave its issuer out. */
  readonly leafOnly?: boolean
  /** The next attempts get the certificate that the last one got. */
  readonly nothingNew?: boolean
}

export interface PfxConnector {
  /** From the next delivery on. */
  mood: ConnectorMood
  /** Each answer: for which attempt, and with what. */
  readonly deliveries: { readonly profileId: string; readonly attemptId: string }[]
  /** One certificate an attempt. */
  readonly issued: Map<string, { readonly privateKey: KeyObject; readonly certificate: Uint8Array }>
  /** Every password and key that it sent, as texts. */
  readonly secrets: string[]
  handle(request: HttpRequest): Promise<HttpResponse>
}

/** What stands behind `pfx` of a policy service: a key and its certificate for each attempt, in a PFX for one device. */
export function pfxConnector(pool: readonly KeyObject[], clock: Clock, device: Uint8Array): PfxConnector {
  const connector: PfxConnector = {
    mood: {},
    deliveries: [],
    issued: new Map(),
    secrets: [],
    async handle({ body }) {
      const asked = JSON.parse(Buffer.from(body ?? []).toString()) as { profileId: string; attemptId: string }
      connector.deliveries.push(asked)
      if (connector.mood.answer) return connector.mood.answer
      const { contents, told, recipient = device } = connector.mood
      const { privateKey, certificate } = await issue(asked.attemptId)
      const password = contents?.password ?? randomBytes(12).toString('base64')
      const jwk = privateKey.export({ format: 'jwk' })
      connector.secrets.push(password, jwk.d as string)
      const certificates = connector.mood.leafOnly ? [certificate] : [certificate, issuingCertificate]
      const pfx = await buildPfx({ privateKey, certificates, password, iterations: 2000, ...contents })
      const content = Buffer.from(told ?? password)
      const envelope = buildEnvelopedData({ content, recipient: parseCertificate(recipient), cipher: 'aes-256-cbc' })
      return json({ pfx: Buffer.from(pfx).toString('base64'), password: Buffer.from(envelope).toString('base64') })
    },
  }

  async function issue(attemptId: string) {
    const last = [...connector.issued.values()].at(-1)
    const known = connector.issued.get(attemptId) ?? (connector.mood.nothingNew ? last : undefined)
    const privateKey = pool[connector.issued.size % pool.length] as KeyObject
    const key = { ...issuing.key, publicKey: createPublicKey(privateKey).export({ format: 'der', type: 'spki' }) }
    const { validFor = { notBefore: clock.now(), notAfter: clock.now() + 100 * day }, ca = false } = connector.mood
    const made = known ?? { privateKey, certificate: await testCertificate({ subject: 'CN=jane', key, issuer: issuing, ca, ...validFor }) }
    connector.issued.set(attemptId, made)
    return made
  }
  return connector
}

export function json(body: unknown, status = 200): HttpResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(body)) }
}

export type WirePfx = NonNullable<PolicyDocument['pfxProfiles']>[number]

/** One PFX profile and its root beside what the document has; `keepScep` leaves the SCEP profiles in. */
export function withPfx(document: PolicyDocument, own: Partial<WirePfx> = {}, keepScep = false): PolicyDocument {
  const profile: WirePfx = {
    id: 'mail',
    displayName: 'Mail',
    principal: 'device',
    assignedTo: ['device'],
    rootProfileId: 'pfx-root',
    renewalThresholdPercent: 20,
    kind: 'pkcs',
    certificateRevision: 'v1',
    keyStorage: 'useSoftwareKsp',
    ...own,
  }
  const trusted: PolicyDocument['trustedRoots'][number] = {
    id: 'pfx-root',
    displayName: 'PFX Root',
    certificate: Buffer.from(rootCertificate).toString('base64'),
    destinationStore: 'computer-root',
    assignedTo: ['device'],
  }
  return {
    ...document,
    trustedRoots: [...(keepScep ? document.trustedRoots : []), trusted],
    scepProfiles: keepScep ? document.scepProfiles : [],
    pfxProfiles: [profile],
  }
}
