import type { ContentCipher } from '../cms/enveloped-data.ts'
import { AgentError } from '../errors.ts'
import type { HashName } from '../types.ts'

const words = ['AES', 'DES3', 'GetNextCACert', 'POSTPKIOperation', 'Renewal', 'SCEPStandard', 'SHA-1', 'SHA-256', 'SHA-512'] as const

/** The keywords of GetCACaps that certfleet acts on (RFC 8894 3.5.2). */
export type Capability = (typeof words)[number]

export type ScepCapabilities = ReadonlySet<Capability>

const byLowerCase: ReadonlyMap<string, Capability> = new Map(words.map((word) => [word.toLowerCase(), word]))
const standard: readonly Capability[] = ['AES', 'POSTPKIOperation', 'SHA-256']
const maxCharacters = 64 * 1024

/**
 * Reads a GetCACaps body: a word a line, LF or CRLF, in any case; what is no such word is passed over, so an HTML page or nothing
 * at all means no capabilities. SCEPStandard brings AES, POSTPKIOperation and SHA-256 along (RFC 8894 3.5.2). Never fails.
 */
export function parseCapabilities(text: string): ScepCapabilities {
  const lines = text.slice(0, maxCharacters).split(/\r\n|\r|\n/)
  const found = new Set(lines.flatMap((line) => byLowerCase.get(line.trim().toLowerCase()) ?? []))
  if (found.has('SCEPStandard')) for (const word of standard) found.add(word)
  return found
}

export interface AlgorithmPolicy {
  /** The digest that the profile asks for; undefined takes the strongest one offered (A10). */
  readonly hash?: Exclude<HashName, 'sha1'> | undefined
  /** Talk SHA-1 to a CA that has nothing better. Default false. */
  readonly legacySha1?: boolean | undefined
  /** Take a stronger one than `hash` where it is offered. Default false. */
  readonly strongest?: boolean
  /** Refuse a CA that names no digest. Default false. */
  readonly needsDigest?: boolean | undefined
}

export interface ScepAlgorithms {
  readonly hash: HashName
  readonly cipher: ContentCipher
  /** Send PKIOperation by POST. */
  readonly post: boolean
  /** The CA says that it takes RenewalReq. */
  readonly renewal: boolean
}

/**
 * What to talk to a CA with these capabilities. They may raise what is used, never lower it below the floor of SHA-256 and AES-128
 * (which is what the word AES means), so no capabilities mean the floor; 3DES only where DES3 is offered and AES is not, as NDES does;
 * never DES or MD5 (RFC 8894 2.9). A CA below the floor or below the profile's digest: `ERR_ALGORITHM_REFUSED`.
 */
export function chooseAlgorithms(capabilities: ScepCapabilities, policy: AlgorithmPolicy = {}): ScepAlgorithms {
  return {
    hash: chooseHash(capabilities, policy),
    cipher: capabilities.has('DES3') && !capabilities.has('AES') ? 'des-ede3-cbc' : 'aes-128-cbc',
    post: capabilities.has('POSTPKIOperation'),
    renewal: capabilities.has('Renewal'),
  }
}

const strength: Record<HashName, number> = { sha1: 1, sha256: 2, sha384: 3, sha512: 4 }

function chooseHash(capabilities: ScepCapabilities, policy: AlgorithmPolicy): HashName {
  const { hash, legacySha1 = false, needsDigest = false } = policy
  const strongest = capabilities.has('SHA-512')
    ? 'sha512'
    : capabilities.has('SHA-256')
      ? 'sha256'
      : capabilities.has('SHA-1')
        ? 'sha1'
        : undefined
  if (strongest === undefined) {
    if (!needsDigest) return hash ?? 'sha256'
    throw new AgentError(
      'ERR_ALGORITHM_REFUSED',
      'the CA names neither SHA-1, SHA-256 nor SHA-512 in its capabilities, and this platform needs one',
    )
  }
  if (hash !== undefined && strength[strongest] < strength[hash]) {
    throw new AgentError('ERR_ALGORITHM_REFUSED', `the profile asks for ${hash}, and the CA offers nothing stronger than ${strongest}`)
  }
  if (strongest === 'sha1' && !legacySha1) {
    throw new AgentError('ERR_ALGORITHM_REFUSED', 'the CA offers no digest but SHA-1, which only the switch legacy-sha1 allows')
  }
  if (hash === undefined || policy.strongest || (hash === 'sha256' && !capabilities.has('SHA-256'))) return strongest
  return hash
}
