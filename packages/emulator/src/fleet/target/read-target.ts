import { AgentError } from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { readRoot } from '../../commands/enroll-input.ts'
import type { Io } from '../../commands/io.ts'
import { readInput } from '../../commands/read-input.ts'
import { secretIn } from '../../commands/secret-input.ts'
import { assertEmulationTarget, isOnThisMachine } from '../../keys/target.ts'
import { InputError } from '../../scenario/input-error.ts'
import type { TargetDocument } from '../../scenario/load-schema.ts'
import type { ScepChallenge } from './scep.ts'
import { type TargetSettings, urlsOf } from './settings.ts'

type PolicyDocument = Extract<TargetDocument, { policy: unknown }>['policy']
type ScepDocument = Extract<TargetDocument, { scep: unknown }>['scep']

const maxTrustBytes = 1_048_576

/**
 * What a scenario names as its target, with what its files hold; paths as they are. Warns of secrets that others on this machine could read.
 * A file or URL that cannot be used: `InputError`, which repeats no secret. With emulated keys, so is a URL off this machine.
 */
export async function readTarget(document: TargetDocument, emulatedKeys: boolean, io: Io): Promise<TargetSettings> {
  const settings = 'policy' in document ? await policySettings(document.policy, io) : await scepSettings(document.scep, io)
  if (emulatedKeys) urlsOf(settings).forEach(assertEmulationTarget)
  return settings
}

async function policySettings({ url, 'token-file': file, ca }: PolicyDocument, io: Io): Promise<TargetSettings> {
  return {
    kind: 'policy',
    policyUrl: notInClear('target.policy.url', url),
    registrationToken: await secretIn(file, { option: 'target.policy.token-file', io }, 'the registration token'),
    ...(ca !== undefined && { trustAnchors: await anchorsIn('target.policy.ca', ca) }),
  }
}

async function scepSettings({ url, root, ca, challenge }: ScepDocument, io: Io): Promise<TargetSettings> {
  return {
    kind: 'scep',
    scepUrl: bare('target.scep.url', url),
    root: base64(await readRoot(root, 'target.scep.root')),
    ...(ca !== undefined && { trustAnchors: await anchorsIn('target.scep.ca', ca) }),
    ...(challenge && { challenge: await challengeIn(challenge, io) }),
  }
}

async function challengeIn(challenge: NonNullable<ScepDocument['challenge']>, io: Io): Promise<ScepChallenge> {
  const key = 'target.scep.challenge'
  if ('file' in challenge) return { kind: 'static', text: await secretIn(challenge.file, { option: `${key}.file`, io }, 'the challenge') }
  const { mscepAdmin, user, 'password-file': file } = challenge
  const url = notInClear(`${key}.mscepAdmin`, mscepAdmin)
  return {
    kind: 'mscep-admin',
    url,
    user,
    password: await secretIn(file, { option: `${key}.password-file`, io }, "the account's password"),
  }
}

/** A token or password in plain http is for everybody on the way; SCEP is made for plain http (RFC 8894 4.1). */
function notInClear(key: string, text: string): string {
  if (new URL(text).protocol === 'https:' || isOnThisMachine(text)) return bare(key, text)
  throw new InputError(`${key}: plain http is for this machine alone, because a secret goes there; give an https URL`)
}

function bare(key: string, text: string): string {
  const { username, password, search, hash } = new URL(text)
  if (username !== '' || password !== '') throw new InputError(`${key}: a URL holds no account and no password here; leave them out`)
  if (search === '' && hash === '') return text
  throw new InputError(`${key}: expected the URL without a query: what is asked is added to it`)
}

async function anchorsIn(key: string, file: string): Promise<readonly string[]> {
  const text = (await readInput(key, file, maxTrustBytes)).toString('latin1')
  const found = [...text.matchAll(/-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/g)].map(([, body = '']) => body)
  const anchors = found.map((body) => Buffer.from(body, 'base64'))
  if (anchors.length === 0 || !anchors.every(isCertificate)) throw new InputError(`${key} ${file}: expected CA certificates, PEM`)
  return anchors.map(base64)
}

function isCertificate(der: Uint8Array): boolean {
  try {
    parseCertificate(new Uint8Array(der))
    return true
  } catch (error) {
    if (error instanceof AgentError) return false
    throw error
  }
}

const base64 = (der: Uint8Array): string => Buffer.from(der).toString('base64')
