import { AgentError } from '@certfleet/agent-core'
import { parseCertificate, parseCrl, verifyPath } from '@certfleet/agent-core/pki'
import { UnreadableVectors, type VectorCase, type Verdict } from '../suite.ts'
import { pemDer, readJsonArray } from './files.ts'

/** A test case as C2SP/x509-limbo writes it (limbo-schema.json), as far as it is used here. */
export interface LimboCase {
  readonly id: string
  readonly features: readonly string[]
  readonly trusted_certs: readonly string[]
  readonly untrusted_intermediates: readonly string[]
  readonly peer_certificate: string
  readonly validation_time: string | null
  readonly extended_key_usage: readonly string[]
  readonly expected_peer_name: { readonly kind: string; readonly value: string } | null
  readonly crls: readonly string[]
  readonly expected_result: 'SUCCESS' | 'FAILURE'
}

/** What a file may leave out. */
const leftOut = {
  features: [],
  untrusted_intermediates: [],
  validation_time: null,
  extended_key_usage: [],
  expected_peer_name: null,
  crls: [],
} as const

const purposes: Readonly<Record<string, string>> = {
  anyExtendedKeyUsage: '2.5.29.37.0',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  emailProtection: '1.3.6.1.5.5.7.3.4',
  timeStamping: '1.3.6.1.5.5.7.3.8',
  OCSPSigning: '1.3.6.1.5.5.7.3.9',
}

/** The cases of a limbo file. `at` is used where a case names no time of its own. */
export function readLimboFile(path: string, at: number): readonly { limbo: LimboCase; vector: VectorCase }[] {
  return readJsonArray(path, 'testcases').map((testcase, index) => {
    const limbo = limboCase(testcase, `${path}: testcases[${index}]`)
    return {
      limbo,
      vector: { id: limbo.id, expected: limbo.expected_result === 'SUCCESS' ? 'accept' : 'refuse', run: () => verdictOf(limbo, at) },
    }
  })
}

function limboCase(testcase: unknown, where: string): LimboCase {
  const given = Object.entries(testcase ?? {}).filter(([, value]) => value !== null)
  const limbo = { ...leftOut, ...Object.fromEntries(given) } as Partial<LimboCase>
  const { id, peer_certificate, expected_result, validation_time } = limbo
  const lists = [limbo.features, limbo.trusted_certs, limbo.untrusted_intermediates, limbo.extended_key_usage, limbo.crls]
  const isDated = validation_time === null || !Number.isNaN(Date.parse(String(validation_time)))
  const isTold = expected_result === 'SUCCESS' || expected_result === 'FAILURE'
  if (typeof id !== 'string' || typeof peer_certificate !== 'string' || !lists.every(isTexts) || !isDated || !isTold)
    throw new UnreadableVectors(`${where} is not a test case in the limbo format`)
  return limbo as LimboCase
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function verdictOf(limbo: LimboCase, defaultAt: number): Verdict {
  const peer = limbo.expected_peer_name
  const request = {
    leaf: parseCertificate(pemDer(limbo.peer_certificate)),
    intermediates: parsed(limbo.untrusted_intermediates, parseCertificate),
    roots: parsed(limbo.trusted_certs, parseCertificate),
    at: limbo.validation_time === null ? defaultAt : Date.parse(limbo.validation_time),
    ...(peer && (peer.kind === 'DNS' || peer.kind === 'IP') && { hostname: peer.value }),
    ...(limbo.crls.length > 0 && { crls: parsed(limbo.crls, parseCrl) }),
  }
  const wanted = limbo.extended_key_usage.length > 0 ? limbo.extended_key_usage.map((name) => purposes[name] ?? name) : [undefined]
  const good = wanted.every((purpose) => verifyPath(purpose === undefined ? request : { ...request, purpose }).ok)
  return good ? 'accept' : 'refuse'
}

/** What cannot be parsed is left out, as whoever collects certificates from a peer would do. */
function parsed<T>(pems: readonly string[], parse: (der: Uint8Array) => T): T[] {
  return pems.flatMap((pem) => {
    try {
      return [parse(pemDer(pem))]
    } catch (error) {
      if (error instanceof AgentError) return []
      throw error
    }
  })
}
