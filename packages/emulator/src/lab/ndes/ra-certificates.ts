import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { AgentError, type Clock, type Instant, softwareKeyHandle } from '@certfleet/agent-core'
import type { CmsSigner } from '@certfleet/agent-core/cms'
import {
  authorityKeyIdentifierExtension,
  buildCertificate,
  fingerprintOf,
  type KeyUsageBit,
  keyIdentifierOf,
  keyUsageExtension,
  parseCertificate,
  publicKeyOf,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import { type Authorities, type Authority, freshSerialNumber } from '../authority.ts'
import type { KeyAndCertificate } from '../records.ts'
import type { LabStore } from '../store.ts'
import type { RegistrationAuthorityRecord } from './records.ts'

const dayMs = 86_400_000
const table = 'registrationAuthorities'
const generatePair = promisify(generateKeyPair)

export interface RenewableAuthorities extends Authorities {
  /** One of the RA's certificates in use is past its end. */
  isExpired(): boolean
  /** New keys and certificates for the RA, in use from now on; requests that were encrypted to the ones before are opened for the grace. */
  renew(): Promise<void>
}

export interface RenewalOptions {
  readonly store: LabStore
  readonly clock: Clock
  readonly authorities: Authorities
  readonly validityMs: number
  readonly graceMs: number
}

/** The CA's generations, each with the RA certificates that are in use by now: a renewal of the RA is no roll-over of the CA. */
export function renewableAuthorities({ store, clock, authorities, validityMs, graceMs }: RenewalOptions): RenewableAuthorities {
  /** Oldest first; read once, for what is made of a record is costly and kept by identity. */
  const renewals = [...store.list(table)].map((record) => ({ record, ...identitiesOf(record) }))
  const variants = new WeakMap<object, Authority>()
  const withRenewal = (authority: Authority, renewal: (typeof renewals)[number]): Authority => {
    const { signing, encryption } = renewal
    const variant = variants.get(renewal) ?? { ...authority, signing, encryption }
    variants.set(renewal, variant)
    return variant
  }
  /** Youngest first, with how long each has been superseded. */
  const pairsOf = (authority: Authority): Authority[] => {
    const issuer = fingerprintOf(authority.issuing.certificate.raw)
    const own = renewals.filter(({ record }) => record.issuer === issuer)
    const until = (index: number) => (own[index + 1]?.record.from ?? Number.POSITIVE_INFINITY) + graceMs
    const renewed = own.filter((_, index) => until(index) > clock.now()).map((renewal) => withRenewal(authority, renewal))
    return [...(until(-1) > clock.now() ? [authority] : []), ...renewed].reverse()
  }
  const present = () => pairsOf(authorities.present())[0] as Authority
  return {
    ...authorities,
    present,
    sofar: () => authorities.sofar().flatMap(pairsOf),
    isExpired() {
      const { signing, encryption } = present()
      return Math.min(signing.certificate.notAfter, encryption.certificate.notAfter) < clock.now()
    },
    async renew() {
      const record = await makePair(authorities.present(), clock.now(), validityMs)
      await store.transaction((tx) => {
        const keys = Array.from({ length: renewals.length + 64 }, (_, index) => String(index).padStart(6, '0'))
        tx.put(table, keys.find((key) => tx.get(table, key) === undefined) as string, record)
      })
      renewals.push({ record, ...identitiesOf(record) })
    },
  }
}

async function makePair(authority: Authority, now: Instant, validityMs: number): Promise<RegistrationAuthorityRecord> {
  const [signing, encryption] = await Promise.all([
    makeIdentity(authority, 'digitalSignature', authority.signing, now, validityMs),
    makeIdentity(authority, 'keyEncipherment', authority.encryption, now, validityMs),
  ])
  return { issuer: fingerprintOf(authority.issuing.certificate.raw), signing, encryption, from: now }
}

/** Like the one before, under another key; it ends no later than its CA. */
async function makeIdentity(
  { issuing }: Authority,
  usage: KeyUsageBit,
  before: CmsSigner,
  now: Instant,
  validityMs: number,
): Promise<KeyAndCertificate> {
  const { modulusLength = 2048 } = publicKeyOf(before.certificate).asymmetricKeyDetails ?? {}
  const { privateKey } = await generatePair('rsa', { modulusLength })
  const { publicKey } = softwareKeyHandle(privateKey, 'lab-ra')
  // As those of the CA: a day early, for devices whose clock is behind.
  const notBefore = Math.max(Math.floor((now - dayMs) / 1000) * 1000, issuing.certificate.notBefore)
  const certificate = await buildCertificate({
    serialNumber: freshSerialNumber(),
    issuer: issuing.certificate.subject,
    subject: before.certificate.subject,
    publicKey,
    notBefore,
    notAfter: Math.min(now + validityMs, issuing.certificate.notAfter),
    extensions: [
      keyUsageExtension([usage]),
      subjectKeyIdentifierExtension(publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(issuing.key.publicKey)),
    ],
    signer: issuing.key,
    hash: 'sha256',
  })
  return { privateKey: exported(privateKey), certificate }
}

function identitiesOf({ signing, encryption }: RegistrationAuthorityRecord): { signing: CmsSigner; encryption: CmsSigner } {
  try {
    return { signing: identityOf(signing), encryption: identityOf(encryption) }
  } catch (error) {
    throw new AgentError('ERR_STATE_INVALID', "the lab's RA record cannot be read; the state folder is damaged", { cause: error })
  }
}

function identityOf({ privateKey, certificate }: KeyAndCertificate): CmsSigner {
  const key = createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' })
  return { certificate: parseCertificate(certificate), key: softwareKeyHandle(key, 'lab-ra') }
}

function exported(key: KeyObject): Uint8Array {
  return key.export({ format: 'der', type: 'pkcs8' })
}
