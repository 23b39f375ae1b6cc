import { execFileSync } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type HttpResponse,
  handlerTransport,
  type KeyStorageProvider,
  managementIdentity,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  type PolicyDocument,
  policyService,
  reconcile,
  registerDevice,
  softwareKeys,
} from '@certfleet/agent-core'
import { openEnvelopedData } from '@certfleet/agent-core/cms'
import { identityOf, openPfx } from '@certfleet/agent-core/pfx'
import { parseCertificate } from '@certfleet/agent-core/pki'
import type { Lab, LabOptions } from '@certfleet/emulator/lab'
import type { PfxRequest } from '@certfleet/emulator/tenant'
import { type PlatformName, platformAdapter } from '@certfleet/platforms'
import type { Test } from 'tap'
import { jsonOf, post, registrationToken, startLab, type TestLab } from './surroundings.ts'

export const day = 86_400_000
/** Of every device here: its key is no part of what is tested. */
export const management = await managementIdentity(softwareKeys())
export const managementBase64 = Buffer.from(management.certificate).toString('base64')

export type PkcsRequest = Extract<PfxRequest, { kind: 'pkcs' }>
export type ImportedRequest = Extract<PfxRequest, { kind: 'imported' }>

/** RSA-1024, which is made in no time; the agent's tests ask for more. */
export const pkcs = (own: Partial<PkcsRequest> = {}): PkcsRequest => ({
  kind: 'pkcs',
  profileId: 'mail',
  principal: 'device',
  certificateTemplateName: 'CertfleetDevice',
  certificationAuthority: 'ca.contoso.example',
  certificationAuthorityName: 'Contoso Issuing',
  subject: 'CN=Ada,E=ada@contoso.example',
  subjectAltNames: [{ type: 'upn', value: 'ada@contoso.example' }],
  keyBits: 1024,
  extendedKeyUsages: [],
  validity: { value: 30, scale: 'days' },
  ...own,
})

export const imported = (own: Partial<ImportedRequest> = {}): ImportedRequest => ({
  kind: 'imported',
  profileId: 'smime',
  principal: 'device',
  userPrincipalName: 'ada@contoso.example',
  intendedPurpose: 'smimeEncryption',
  ...own,
})

export interface PfxLab extends TestLab {
  /** What each device may ask for; change it at will. */
  readonly requests: Map<string, readonly PfxRequest[]>
}

export async function startPfxLab(requests: readonly PfxRequest[], options: Partial<LabOptions> = {}): Promise<PfxLab> {
  const byDevice = new Map([['device-1', requests]])
  const started = await startLab({ pfxRequestsFor: (deviceId) => byDevice.get(deviceId) ?? [], ...options })
  return { ...started, requests: byDevice }
}

export async function registered(lab: Lab, own: { deviceId?: string; platform?: string; osVersion?: string } = {}): Promise<string> {
  const device = { deviceId: 'device-1', platform: 'windows', osVersion: '11', ...own }
  const response = await post(lab, '/device/register', { ...device, registrationToken, managementCertificate: managementBase64 })
  return jsonOf(response).credential
}

export function ask(lab: Lab, credential: string, attemptId = 'attempt-1', profileId = 'mail'): Promise<HttpResponse> {
  return post(lab, '/device/pfx', { profileId, attemptId }, credential)
}

/** As the device reads it. */
export async function opened(response: HttpResponse) {
  if (response.status !== 200) throw new Error(`answered ${response.status}`)
  const { pfx, password: envelope } = jsonOf(response)
  const recipient = { certificate: parseCertificate(management.certificate), key: management.key }
  const { content } = await openEnvelopedData(Buffer.from(envelope, 'base64'), { recipients: [recipient] })
  const password = Buffer.from(content).toString()
  const bytes = new Uint8Array(Buffer.from(pfx, 'base64'))
  const { key, certificate, chain } = identityOf(await openPfx(bytes, { password, legacy: true }))
  const modulus = createPublicKey(key.privateKey).export({ format: 'jwk' }).n as string
  return {
    bytes,
    password,
    certificate: parseCertificate(certificate),
    chain,
    modulus,
    secret: key.privateKey.export({ format: 'jwk' }).d as string,
  }
}

/** What `openssl pkcs12` says of a file: its certificates and key, how both are protected, or its error. */
export function opensslPkcs12(t: Test, pfx: Uint8Array, password: string, ...options: string[]): string {
  const file = join(t.testdir({ 'one.pfx': '' }), 'one.pfx')
  writeFileSync(file, pfx)
  const args = ['pkcs12', '-in', file, '-passin', `pass:${password}`, '-nodes', '-info', ...options]
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

export interface AgentOptions {
  readonly platform?: PlatformName
  readonly osVersion?: string
  readonly keys?: readonly KeyStorageProvider[]
  readonly wire?: Partial<NonNullable<PolicyDocument['pfxProfiles']>[number]>
  readonly roots?: readonly ('root' | 'issuing')[]
  readonly deviceId?: string
}

/** The real agent on a device whose policy is one PFX profile with the lab's root, and its issuing CA as an intermediate. */
export async function agentAt({ lab, clock, policies }: TestLab, options: AgentOptions = {}) {
  const {
    platform = 'windows',
    osVersion = '11',
    keys = [softwareKeys()],
    wire,
    roots = ['root', 'issuing'],
    deviceId = 'device-1',
  } = options
  policies.set(deviceId, policyFor(lab, deviceId, roots, wire))
  const answers: HttpResponse[] = []
  const transport = handlerTransport(async (request) => {
    const response = await lab.handle(request)
    if (request.url.endsWith('/device/pfx')) answers.push(response)
    return response
  })
  const policyUrl = 'http://lab.example/device/policy'
  const { credential } = await registerDevice({
    ...{ policyUrl, transport, registrationToken, deviceId, platform, osVersion },
    managementCertificate: management.certificate,
  })
  const jitter = { between: (min: number) => min }
  const identities = memoryIdentities()
  const bindings = { osVersion, keyStorageProviders: keys, certificateStores: memoryStores(), identities, transport, clock, jitter }
  const service = policyService({ policyUrl, credential, deviceId, transport, cache: memoryPolicyCache(), management })
  const device = { ...service, clock, jitter, platform: platformAdapter(platform, bindings), state: memoryState() }
  const pass = async () => (await reconcile(device, new AbortController().signal)).report
  return { pass, answers, identities, credential }
}

function policyFor(lab: Lab, deviceId: string, roots: readonly ('root' | 'issuing')[], wire: AgentOptions['wire']): PolicyDocument {
  const certificates = { root: lab.rootCertificate, issuing: lab.issuingCertificate }
  const stores = { root: 'computer-root', issuing: 'computer-intermediate' } as const
  return {
    schemaVersion: 1,
    revision: 1,
    deviceId,
    trustedRoots: roots.map((id) => ({
      id,
      displayName: id,
      certificate: Buffer.from(certificates[id]).toString('base64'),
      destinationStore: stores[id],
      assignedTo: ['device'],
    })),
    scepProfiles: [],
    pfxProfiles: [
      {
        id: 'mail',
        displayName: 'Mail',
        principal: 'device',
        assignedTo: ['device'],
        rootProfileId: 'root',
        renewalThresholdPercent: 20,
        kind: 'pkcs',
        certificateRevision: 'v1',
        keyStorage: 'useSoftwareKsp',
        ...wire,
      },
    ],
    failedProfiles: [],
  }
}
