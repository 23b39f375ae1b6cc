import { constructed, expectTag, malformed, readChildren, readSequence, Tag, type Tlv } from '../../der/index.ts'
import { AgentError } from '../../errors.ts'
import type { Certificate } from '../certificate.ts'
import { ExtensionOid, type GeneralName, readGeneralName } from '../certificate-extensions.ts'
import type { WorkBudget } from './budget.ts'
import { failure, type PathFailure } from './failure.ts'
import { isDnsName } from './host-name.ts'
import { comparableName, emailAddressesOf, isEmptyName, isWithin } from './names.ts'

/** The nameConstraints of one CA, checked to be ones that can be obeyed. */
interface NameConstraints {
  readonly permitted: readonly GeneralName[]
  readonly excluded: readonly GeneralName[]
}

/**
 * Checks every name of `certificate` against the nameConstraints of one CA above it (RFC 5280 6.1.3 b, c).
 * Refused: a name that is malformed or of a type that cannot be compared, where a constraint of its type exists;
 * and every certificate below a CA whose constraints RFC 5280 4.2.1.10 does not allow (a wildcard, a leading dot in a DNS name, an odd mask).
 */
export function nameConstraintProblem(certificate: Certificate, ca: Certificate, budget: WorkBudget): PathFailure | undefined {
  try {
    const constraints = nameConstraintsOf(ca)
    return constraints && firstProblem(certificate, constraints, budget)
  } catch (error) {
    if (error instanceof AgentError) return failure('name-constraints', error.message)
    throw error
  }
}

function firstProblem(certificate: Certificate, constraints: NameConstraints, budget: WorkBudget): PathFailure | undefined {
  const cost = constraints.permitted.length + constraints.excluded.length
  for (const name of namesOf(certificate)) {
    if (!budget.spendComparisons(cost)) return failure('budget-spent', 'too many names against too many name constraints')
    const problem = problemOf(name, ofFamily(name, constraints.permitted), ofFamily(name, constraints.excluded))
    if (problem) return failure('name-constraints', `a name of type ${name.type} ${problem}`)
  }
  return undefined
}

function problemOf(name: GeneralName, permitted: readonly GeneralName[], excluded: readonly GeneralName[]): string | undefined {
  if (permitted.length + excluded.length === 0) return undefined
  if (!isComparable(name)) return 'cannot be compared with the constraints on it'
  if (permitted.length > 0 && !permitted.some((base) => isInside(name, base))) return 'is not permitted'
  return excluded.some((base) => isInside(name, base) || wildcardReaches(name, base)) ? 'is excluded' : undefined
}

const parsed = new WeakMap<Certificate, NameConstraints>()

function nameConstraintsOf(ca: Certificate): NameConstraints | undefined {
  const extension = ca.extensions.get(ExtensionOid.NameConstraints)
  if (!extension) return undefined
  const known = parsed.get(ca)
  if (known) return known
  const constraints = readNameConstraints(extension.value)
  parsed.set(ca, constraints)
  return constraints
}

function readNameConstraints(value: Uint8Array): NameConstraints {
  const fields = readSequence(value, 'nameConstraints')
  const lists = fields.map(({ tag, value: trees }, i) => {
    if ((tag !== constructed(0) && tag !== constructed(1)) || fields[i + 1]?.tag === constructed(0) || fields.length > 2)
      malformed('nameConstraints', 'its fields are not permitted and excluded')
    return { tag, trees: readChildren(trees, 'nameConstraints').map(readSubtree) }
  })
  if (lists.length === 0 || lists.some(({ trees }) => trees.length === 0)) malformed('nameConstraints', 'it is empty')
  const treesOf = (tag: number) => lists.find((list) => list.tag === tag)?.trees ?? []
  return { permitted: treesOf(constructed(0)), excluded: treesOf(constructed(1)) }
}

/** RFC 5280 4.2.1.10: minimum is always 0 (and so left out), maximum never there. */
function readSubtree(tree: Tlv): GeneralName {
  const [base, ...bounds] = readChildren(expectTag(tree, Tag.Sequence, 'nameConstraints').value, 'nameConstraints')
  if (base === undefined || bounds.length > 0) malformed('nameConstraints', 'a subtree is not one name without bounds')
  const name = readGeneralName(base, 'nameConstraints')
  if (!isConstraint(name)) malformed('nameConstraints', `a constraint of type ${name.type} that RFC 5280 does not allow`)
  return name
}

function isConstraint(base: GeneralName): boolean {
  switch (base.type) {
    case 'dns':
      return base.value === '' || isDnsName(base.value)
    case 'email':
      return base.value === '' || isMailbox(base.value) || isDnsName(base.value.replace(/^\./, ''))
    case 'uri':
      return isDnsName(base.value.replace(/^\./, ''))
    case 'ip':
      return isNetwork(base.value)
    default:
      return true
  }
}

/** RFC 4632 3.1: a mask is ones, then zeros. */
function isNetwork(value: Uint8Array): boolean {
  if (value.length !== 8 && value.length !== 32) return false
  const bits = [...value.subarray(value.length / 2)].map((octet) => octet.toString(2).padStart(8, '0')).join('')
  return /^1*0*$/.test(bits)
}

/** Constraints bind names of the same family; a UPN is an otherName. */
function ofFamily(name: GeneralName, bases: readonly GeneralName[]): readonly GeneralName[] {
  return bases.filter((base) => family(base) === family(name))
}

function family(name: GeneralName): string {
  return name.type === 'upn' ? 'other' : name.type
}

function* namesOf(certificate: Certificate): Iterable<GeneralName> {
  if (!isEmptyName(certificate.subject)) yield { type: 'directory', value: certificate.subject }
  const names = certificate.subjectAltNames ?? []
  yield* names
  if (names.some(({ type }) => type === 'email')) return
  for (const value of emailAddressesOf(certificate.subject)) yield { type: 'email', value }
}

function isComparable(name: GeneralName): boolean {
  switch (name.type) {
    case 'dns':
      return isDnsName(name.value.replace(/^\*\./, ''))
    case 'email':
      return isMailbox(name.value)
    case 'uri':
      return uriHost(name.value) !== undefined
    case 'ip':
      return name.value.length === 4 || name.value.length === 16
    default:
      return name.type === 'directory' && comparableName(name.value) !== undefined
  }
}

function isInside(name: GeneralName, base: GeneralName): boolean {
  switch (name.type) {
    case 'dns':
      return base.type === 'dns' && isInsideDomain(name.value, base.value)
    case 'email':
      return base.type === 'email' && isInsideMail(name.value, base.value)
    case 'uri':
      return base.type === 'uri' && isInsideHost(uriHost(name.value) ?? '', base.value)
    case 'ip':
      return base.type === 'ip' && isInsideNetwork(name.value, base.value)
    default:
      return base.type === 'directory' && name.type === 'directory' && isWithin(comparableName(name.value), comparableName(base.value))
  }
}

/** Any number of labels may be added in front. */
function isInsideDomain(name: string, base: string): boolean {
  const lower = name.toLowerCase()
  const domain = base.toLowerCase()
  return domain === '' || lower === domain || lower.endsWith(`.${domain}`)
}

/** A wildcard that could be used as an excluded name counts as that name (CVE-2025-61727). */
function wildcardReaches(name: GeneralName, base: GeneralName): boolean {
  if (name.type !== 'dns' || base.type !== 'dns' || !name.value.startsWith('*.')) return false
  const excluded = base.value.toLowerCase()
  return excluded.slice(excluded.indexOf('.') + 1) === name.value.slice(2).toLowerCase()
}

/** A mailbox stands for itself, a host for its mailboxes, `.host` for the mailboxes of all hosts below it. The local part keeps its case. */
function isInsideMail(name: string, base: string): boolean {
  if (base === '') return true
  const host = name.slice(name.lastIndexOf('@') + 1)
  if (!base.includes('@')) return isInsideHost(host, base)
  return (
    name.slice(0, -host.length) === base.slice(0, base.lastIndexOf('@') + 1) &&
    host.toLowerCase() === base.slice(base.lastIndexOf('@') + 1).toLowerCase()
  )
}

/** For URIs and mail hosts: exactly that host, or with a leading dot everything below it but not itself. */
function isInsideHost(host: string, base: string): boolean {
  return base.startsWith('.') ? host.toLowerCase().endsWith(base.toLowerCase()) : host.toLowerCase() === base.toLowerCase()
}

function isInsideNetwork(address: Uint8Array, network: Uint8Array): boolean {
  if (network.length !== address.length * 2) return false
  return address.every((octet, i) => ((octet ^ (network[i] as number)) & (network[address.length + i] as number)) === 0)
}

/** RFC 5321 4.1.2 without quoted local parts and address literals, which constraints cannot name. */
function isMailbox(text: string): boolean {
  const at = text.indexOf('@')
  return /^[a-z0-9!#$%&'*+\-/=?^_`{|}~.]{1,64}$/i.test(text.slice(0, Math.max(at, 0))) && isDnsName(text.slice(at + 1))
}

/** RFC 5280 4.2.1.10: a URI that names no host, or names it by address, cannot be compared. */
function uriHost(uri: string): string | undefined {
  const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#:@]+)(?::\d*)?(?:[/?#]|$)/i.exec(uri)?.[1]
  return host !== undefined && isDnsName(host) && !/^[\d.]+$/.test(host) ? host : undefined
}
