import type { KeyObject } from 'node:crypto'
import { AgentError } from '../../errors.ts'
import type { Instant } from '../../types.ts'
import { type Certificate, publicKeyOf } from '../certificate.ts'
import { maxPathLength, WorkBudget } from './budget.ts'
import type { CertificateRevocationList } from './crl.ts'
import { comparableDirectory } from './distribution-points.ts'
import { failure, type PathFailure } from './failure.ts'
import { type AlgorithmFloor, keyWeakness, signatureWeakness } from './floors.ts'
import { matchesHostName } from './host-name.ts'
import { nameConstraintProblem } from './name-constraints.ts'
import { isSameName } from './names.ts'
import { isSelfIssued, issuerProblem, profileProblem, purposeProblem, type Role, validityProblem } from './profile.ts'
import { revocationProblem } from './revocation.ts'
import { verifySignature } from './signature.ts'

export interface PathRequest extends AlgorithmFloor {
  readonly leaf: Certificate
  /** In any order; those that lead nowhere do no harm. */
  readonly intermediates: readonly Certificate[]
  /** Trusted as they are. Their dates, constraints and keys count all the same; their own signatures do not. */
  readonly roots: readonly Certificate[]
  readonly at: Instant
  /** Dotted OID that every extendedKeyUsage on the path must allow. */
  readonly purpose?: string
  /** DNS name or IP address that the leaf must be for. */
  readonly hostname?: string
  /** Given, even empty: every certificate below the root must be covered by them. Left out: revocation is not checked. */
  readonly crls?: readonly CertificateRevocationList[]
}

export interface PathFound {
  readonly ok: true
  /** Leaf first, root last. */
  readonly chain: readonly Certificate[]
}

export type PathVerdict = PathFound | PathFailure

/**
 * Finds a path from the leaf to a root that RFC 5280 section 6 accepts, trying every way there is within a fixed budget of work.
 *
 * Beyond section 6 it holds certificates to the MUSTs of section 4 that keep paths safe: key identifiers, consistent CA flags,
 * criticality, names; and keys and signatures to the floor. Policies are read but no tree is built: a path on which
 * requireExplicitPolicy stands is refused. Where no path is good, the failure is the one nearest to success.
 */
export function verifyPath(request: PathRequest): PathVerdict {
  return new PathSearch(request, new WorkBudget()).run()
}

interface Candidate {
  readonly certificate: Certificate
  readonly role: Role
}

/** One search: the work that is left, what is known of each certificate and signature, and the best failure so far. */
class PathSearch {
  readonly #request: PathRequest
  readonly #budget: WorkBudget
  /** Certificates whose revocation is being checked: the signer of their CRL must not vouch for itself through them. */
  readonly #pending: ReadonlySet<Certificate>
  readonly #candidates = new Map<string, Candidate[]>()
  readonly #problems = new Map<Certificate, PathFailure | undefined>()
  readonly #signatures = new Map<Certificate, Map<Certificate, boolean>>()
  #best: { rank: number; failure: PathFailure } = { rank: -1, failure: failure('no-path', 'no issuer is known') }

  constructor(request: PathRequest, budget: WorkBudget, pending: ReadonlySet<Certificate> = new Set()) {
    this.#request = request
    this.#budget = budget
    this.#pending = pending
    for (const certificate of request.roots) this.#index({ certificate, role: 'root' })
    for (const certificate of request.intermediates) this.#index({ certificate, role: 'intermediate' })
  }

  run(): PathVerdict {
    const { leaf, roots } = this.#request
    const isRoot = roots.some((root) => Buffer.compare(root.raw, leaf.raw) === 0)
    const problem = this.#leafProblem(isRoot ? 'root' : 'leaf')
    if (problem) return problem
    return isRoot ? { ok: true, chain: [leaf] } : (this.#extend([leaf]) ?? this.#best.failure)
  }

  #index(candidate: Candidate): void {
    const key = comparableDirectory(candidate.certificate.subject)
    const known = this.#candidates.get(key)
    if (known) known.push(candidate)
    else this.#candidates.set(key, [candidate])
  }

  /** Depth first: the first whole path that nothing speaks against. */
  #extend(path: readonly Certificate[]): PathVerdict | undefined {
    for (const candidate of this.#issuersOf(path.at(-1) as Certificate)) {
      if (!this.#budget.spendCandidate()) return this.#giveUp()
      const problem = this.#linkProblem(path, candidate)
      if (problem?.code === 'budget-spent') return this.#giveUp()
      const found = problem ? this.#note(problem, path) : this.#proceed([...path, candidate.certificate], candidate.role)
      if (found) return found
    }
    return undefined
  }

  #proceed(path: readonly Certificate[], role: Role): PathVerdict | undefined {
    if (role !== 'root') return this.#extend(path)
    const problem = this.#revocationProblem(path)
    return problem ? this.#note(problem, path) : { ok: true, chain: path }
  }

  /** Roots first, then those whose key identifier fits: a hint to the order, never a reason to refuse (RFC 5280 4.2.1.1). */
  #issuersOf(child: Certificate): readonly Candidate[] {
    const candidates = this.#candidates.get(comparableDirectory(child.issuer)) ?? []
    const wanted = child.authorityKeyIdentifier?.keyIdentifier
    const cost = ({ certificate, role }: Candidate) => (role === 'root' ? 0 : 2) + (fits(certificate.subjectKeyIdentifier, wanted) ? 0 : 1)
    return candidates.length < 2 ? candidates : [...candidates].sort((a, b) => cost(a) - cost(b))
  }

  /** Why `candidate` cannot be the issuer of the last certificate of `path`: cheap reasons first, its signature last. */
  #linkProblem(path: readonly Certificate[], { certificate: issuer, role }: Candidate): PathFailure | undefined {
    return (
      repetitionProblem(path, issuer) ??
      this.#ownProblem(issuer, role) ??
      pathLengthProblem(path, issuer) ??
      this.#constraintProblem(path, issuer) ??
      this.#signatureProblem(path.at(-1) as Certificate, issuer)
    )
  }

  #leafProblem(role: Role): PathFailure | undefined {
    const { leaf, hostname } = this.#request
    const problem = this.#commonProblem(leaf, role)
    if (problem || hostname === undefined || matchesHostName(leaf.subjectAltNames, hostname)) return problem
    return failure('hostname-mismatch', 'no subjectAltName of the leaf is the name that was asked for')
  }

  #ownProblem(issuer: Certificate, role: Role): PathFailure | undefined {
    if (this.#problems.has(issuer)) return this.#problems.get(issuer)
    const problem = this.#commonProblem(issuer, role) ?? issuerProblem(issuer)
    this.#problems.set(issuer, problem)
    return problem
  }

  #commonProblem(certificate: Certificate, role: Role): PathFailure | undefined {
    const { at, purpose } = this.#request
    return (
      validityProblem(certificate, at) ??
      profileProblem(certificate, role) ??
      (purpose === undefined ? undefined : purposeProblem(certificate, purpose)) ??
      keyWeakness(certificate.publicKey, role === 'leaf' ? leafFloor(this.#request) : this.#request) ??
      (role === 'root' ? undefined : signatureWeakness(certificate.signatureAlgorithm, this.#request))
    )
  }

  /** RFC 5280 6.1.3 b: self-issued certificates are exempt, unless it is the leaf. */
  #constraintProblem(path: readonly Certificate[], issuer: Certificate): PathFailure | undefined {
    for (const [i, certificate] of path.entries()) {
      const problem = i > 0 && isSelfIssued(certificate) ? undefined : nameConstraintProblem(certificate, issuer, this.#budget)
      if (problem) return problem
    }
    return undefined
  }

  #signatureProblem(child: Certificate, issuer: Certificate): PathFailure | undefined {
    const known = this.#signatures.get(child) ?? new Map<Certificate, boolean>()
    this.#signatures.set(child, known)
    if (!known.has(issuer)) {
      if (!this.#budget.spendSignature()) return failure('budget-spent', 'too many signatures to check')
      known.set(issuer, child.basicConstraints?.ca ? isAuthoritySignedBy(child, issuer) : isSignedBy(child, issuer))
    }
    return known.get(issuer) ? undefined : failure('signature-invalid', 'a certificate is not signed by the key of its issuer')
  }

  /** From the root down, as RFC 5280 6.1.3 a 3 asks it of every certificate below the root. */
  #revocationProblem(path: readonly Certificate[]): PathFailure | undefined {
    const { crls, at } = this.#request
    if (!crls) return undefined
    for (const certificate of path.slice(0, -1).reverse()) {
      const isSignedByTrusted = (crl: CertificateRevocationList) => this.#isSignedByTrusted(crl, certificate, path)
      const problem = revocationProblem(certificate, { at, crls, isSignedByTrusted })
      if (problem) return problem
    }
    return undefined
  }

  /** RFC 5280 6.3.3 f, g: the signer may sign CRLs, made this signature, and leads to the same root as the certificate. */
  #isSignedByTrusted(crl: CertificateRevocationList, certificate: Certificate, path: readonly Certificate[]): boolean {
    if (signatureWeakness(crl.signatureAlgorithm, this.#request)) return false
    const above = path.slice(path.indexOf(certificate) + 1)
    return (this.#candidates.get(comparableDirectory(crl.issuer)) ?? []).some(({ certificate: signer }) => {
      if (signer.keyUsage && !signer.keyUsage.has('cRLSign')) return false
      if (!this.#budget.spendSignature() || !isSignedBy(crl, signer)) return false
      return above.includes(signer) || this.#isTrustedSigner(signer, certificate, path.at(-1) as Certificate)
    })
  }

  #isTrustedSigner(signer: Certificate, certificate: Certificate, root: Certificate): boolean {
    if (this.#pending.has(signer) || signer === certificate) return false
    const { purpose: _, hostname: __, minLeafRsaBits: ___, ...rest } = this.#request
    return new PathSearch({ ...rest, leaf: signer, roots: [root] }, this.#budget, new Set([...this.#pending, certificate])).run().ok
  }

  /** Keeps the failure of the path that came furthest; a missing or wrong issuer tells less than any other. */
  #note(problem: PathFailure, path: readonly Certificate[]): undefined {
    const rank = path.length + (problem.code === 'signature-invalid' || problem.code === 'no-path' ? 0 : maxPathLength)
    if (rank > this.#best.rank) this.#best = { rank, failure: problem }
  }

  #giveUp(): PathFailure {
    return failure('budget-spent', 'finding a path would take more work than a path is worth')
  }
}

function leafFloor({ minRsaBits, minLeafRsaBits = minRsaBits }: PathRequest): AlgorithmFloor {
  return minLeafRsaBits === undefined ? {} : { minRsaBits: minLeafRsaBits }
}

/** The same subject with the same key is the same CA: passing it twice proves nothing more. */
function repetitionProblem(path: readonly Certificate[], issuer: Certificate): PathFailure | undefined {
  if (path.length >= maxPathLength) return failure('path-too-long', `more than ${maxPathLength} certificates`)
  const repeats = path.some((other) => Buffer.compare(other.publicKey, issuer.publicKey) === 0 && isSameName(other.subject, issuer.subject))
  return repeats ? failure('no-path', 'the issuers form a cycle') : undefined
}

/** RFC 5280 4.2.1.9: neither the leaf nor self-issued certificates count. */
function pathLengthProblem(path: readonly Certificate[], { basicConstraints }: Certificate): PathFailure | undefined {
  const limit = basicConstraints?.pathLength
  if (limit === undefined) return undefined
  const below = path.slice(1).filter((certificate) => !isSelfIssued(certificate)).length
  return below > limit ? failure('path-too-long', `${below} issuers below a pathLenConstraint of ${limit}`) : undefined
}

function isSignedBy(signed: Certificate | CertificateRevocationList, issuer: Certificate): boolean {
  const key = usableKey(issuer)
  return key !== undefined && verifySignature(key, signed.signatureAlgorithm, signed.tbs, signed.signature)
}

const authoritySignatures = new WeakMap<Certificate, WeakMap<Certificate, boolean>>()

/** Verified once: the same CA certificates stand above every leaf. */
function isAuthoritySignedBy(signed: Certificate, issuer: Certificate): boolean {
  const known = authoritySignatures.get(signed) ?? new WeakMap<Certificate, boolean>()
  authoritySignatures.set(signed, known)
  const verdict = known.get(issuer) ?? isSignedBy(signed, issuer)
  known.set(issuer, verdict)
  return verdict
}

function usableKey(certificate: Certificate): KeyObject | undefined {
  try {
    return publicKeyOf(certificate)
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}

function fits(identifier: Uint8Array | undefined, wanted: Uint8Array | undefined): boolean {
  return identifier !== undefined && wanted !== undefined && Buffer.compare(identifier, wanted) === 0
}
