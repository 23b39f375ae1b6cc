import { AgentError, type SubjectAltName } from '@certfleet/agent-core'
import { encodeName, encodeSubjectAltNames, isSelfSigned, parseCertificate, parseDistinguishedName } from '@certfleet/agent-core/pki'
import { InvalidArgumentError } from 'commander'
import { InputError } from '../scenario/input-error.ts'
import type { Io } from './io.ts'
import { derOf, firstLineOf, readInput } from './read-input.ts'

const sanTypes = ['email', 'upn', 'dns', 'uri'] as const
const maxRootBytes = 1_048_576

/** `CN=a,O=b`, checked by encoding it. */
export function subjectOption(text: string): string {
  const names = orInvalid(() => parseDistinguishedName(text))
  if (names.length === 0) throw new InvalidArgumentError("Expected a distinguished name such as 'CN=laptop-1,O=Example'.")
  orInvalid(() => encodeName(names))
  return text
}

/** `TYPE:VALUE`, after those given before. */
export function sanOption(text: string, earlier: readonly SubjectAltName[] = []): readonly SubjectAltName[] {
  const colon = text.indexOf(':')
  const type = sanTypes.find((name) => name === text.slice(0, Math.max(colon, 0)).toLowerCase())
  const value = text.slice(colon + 1)
  if (!type || value === '')
    throw new InvalidArgumentError(`Expected TYPE:VALUE with TYPE one of ${sanTypes.join(', ')}, such as dns:laptop-1.example.com.`)
  orInvalid(() => encodeSubjectAltNames([{ type, value }]))
  return [...earlier, { type, value }]
}

/** RSA, 1024 to 8192 bits in steps of 8. */
export function keyBitsOption(text: string): number {
  const bits = Number(text)
  if (!/^\d{4}$/.test(text) || bits < 1024 || bits > 8192 || bits % 8 !== 0)
    throw new InvalidArgumentError('Expected an RSA key size of 1024 to 8192 bits, such as 2048.')
  return bits
}

/** SHA-256 in hex, with or without colons; lower case comes back. */
export function fingerprintOption(text: string): string {
  const hex = text.replaceAll(':', '').toLowerCase()
  if (!/^[0-9a-f]{64}$/.test(hex)) throw new InvalidArgumentError('Expected a SHA-256 fingerprint: 64 hexadecimal digits, colons allowed.')
  return hex
}

export function urlOption(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw new InvalidArgumentError('Expected an http or https URL, such as http://127.0.0.1:8080/scep.')
  if (url.search !== '' || url.hash !== '')
    throw new InvalidArgumentError('Expected the URL without a query: operation and message are added to it.')
  return text
}

/** What a person typed or a file says, judged by an option's rule. What it does not take: `InputError`. */
export function judgedAs<T>(rule: (text: string) => T, text: string, where: string): T {
  try {
    return rule(text)
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    const message = `${error.message.charAt(0).toLowerCase()}${error.message.slice(1)}`
    throw new InputError(`${where}: ${message}`, { cause: error })
  }
}

export interface ChallengeOptions {
  readonly challenge?: string
  readonly challengeFile?: string
}

/** As the options say, else CERTFLEET_CHALLENGE, else none. */
export async function challengeOf(options: ChallengeOptions, { env }: Io): Promise<string | undefined> {
  return (await challengeFrom(options)) ?? (env.CERTFLEET_CHALLENGE || undefined)
}

/** The option, or the first line of the file. */
export async function challengeFrom({ challenge, challengeFile }: ChallengeOptions): Promise<string | undefined> {
  if (challenge === '') throw new InputError('--challenge is empty; give the challenge, or leave the option out')
  if (challengeFile === undefined) return challenge
  if (challenge !== undefined) throw new InputError('--challenge and --challenge-file were both given; expected one')
  return firstLineOf('--challenge-file', challengeFile, 'the challenge')
}

/** The self-signed CA certificate of a PEM or DER file, as DER. */
export async function readRoot(file: string, option = '--root'): Promise<Uint8Array> {
  const bytes = await readInput(option, file, maxRootBytes)
  const der = derOf(bytes)
  try {
    if (isSelfSigned(parseCertificate(der))) return der
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
  }
  throw new InputError(`${option} ${file}: expected one self-signed CA certificate, PEM or DER`)
}

function orInvalid<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof AgentError) throw new InvalidArgumentError(error.message)
    throw error
  }
}
