import { randomBytes } from 'node:crypto'
import {
  AgentError,
  handlerTransport,
  memoryPolicyCache,
  type PolicyDocument,
  policyService,
  registerDevice,
  type Transport,
} from '@certfleet/agent-core'
import type { ConformanceTarget, TargetDevice, TargetSession, TargetSetup } from '@certfleet/platforms/conformance'
import { createLab, type Lab, type LabOptions, type LabStore, type LabTables, memoryLabStore } from '../lab/index.ts'
import { author } from './author.ts'
import { movableClock } from './clock.ts'
import type { SharedKeys } from './keys.ts'
import { letDown, setRegistryFor, settingsFor } from './lab-settings.ts'
import { pfxFrom } from './pfx.ts'

/** A host that no name service knows (RFC 2606): what it is asked is answered in this process. */
const origin = 'https://lab.invalid'
const scepUrl = `${origin}/certsrv/mscep/mscep.dll`
const startAt = Date.UTC(2026, 0, 15, 12)

/**
 * The embedded lab, in this process and on a clock of its own: a new one each session, but for the CAs, which are made once.
 * `keys` are those of the PFX that it delivers.
 */
export function labTarget(keys: Pick<SharedKeys, 'drawKey'>): ConformanceTarget {
  const authorities = new Map<string, LabTables['authority']>()
  return {
    name: 'the embedded lab',
    setups: new Set<keyof TargetSetup>([
      'templateDays',
      'attributeEndDate',
      'proofOfOrigin',
      'templatesByKeyUsage',
      'leastKeyBits',
      'pendingAnswers',
      'ndesFailures',
      'refusing',
      'otherAuthority',
      'pfx',
    ]),
    abilities: new Set(['advance', 'issued', 'revoked', 'refusals', 'warnings', 'reporter', 'author', 'pfxSource']),
    async open(device, setup) {
      const store = memoryLabStore()
      const name = setup.otherAuthority ? 'other' : 'usual'
      const authority = authorities.get(name)
      if (authority) await store.transaction((tx) => tx.put('authority', 'lab', authority))
      const session = await openSession(device, setup, store)
      const made = store.get('authority', 'lab') as LabTables['authority']
      authorities.set(name, made)
      return { ...session, pfxSource: pfxFrom(made, setup.pfx ?? {}, session.clock, keys) }
    },
  }
}

async function openSession(device: TargetDevice, setup: TargetSetup, store: LabStore): Promise<TargetSession> {
  const clock = movableClock(startAt)
  let policy: PolicyDocument | undefined
  const registrationToken = randomBytes(32).toString('base64url')
  const options: LabOptions = {
    store,
    clock,
    registrationToken,
    policyFor: (deviceId) => (deviceId === device.id ? policy : undefined),
    ...settingsFor(setup),
  }
  const lab = await createLab(options)
  await setRegistryFor(setup, lab)
  const handle = letDown(setup, lab.handle)
  const transport = handlerTransport(async (request) => {
    if (new URL(request.url).host !== new URL(origin).host)
      throw new AgentError('ERR_NETWORK', `nobody answers at ${new URL(request.url).host}`)
    return handle(request)
  })
  const service = await registered(device, registrationToken, transport)
  return {
    scepUrl,
    transport,
    clock,
    root: lab.rootCertificate,
    wrongChallenge: randomBytes(300).toString('base64'),
    challengeSource: service.challengeSource,
    reporter: service.reporter,
    async assign(document) {
      policy = { ...document, deviceId: device.id }
      await lab.policiesChanged()
      return service.policy()
    },
    advance: clock.advance,
    ...recordsOf(lab, store),
    author: (profiles) => author(profiles, { device, root: lab.rootCertificate, scepUrl }),
    close: async () => {},
  }
}

/** The device's side of the lab's policy service. */
async function registered({ id: deviceId, ...device }: TargetDevice, registrationToken: string, transport: Transport) {
  const policyUrl = `${origin}/device/policy`
  const { credential } = await registerDevice({ policyUrl, transport, registrationToken, deviceId, ...device })
  const service = policyService({ policyUrl, credential, deviceId, transport, cache: memoryPolicyCache() })
  return {
    ...service,
    async policy(): Promise<PolicyDocument> {
      const response = await transport.send({ method: 'GET', url: policyUrl, headers: { authorization: `Bearer ${credential}` } })
      return JSON.parse(Buffer.from(response.body).toString())
    },
  }
}

function recordsOf(lab: Lab, store: LabStore): Required<Pick<TargetSession, 'issued' | 'revoked' | 'refusals' | 'warnings'>> {
  const issued = () => [...lab.issued()]
  return {
    issued: () => issued().map(({ serialNumber, template = '', certificate, at }) => ({ serialNumber, template, certificate, at })),
    revoked: () =>
      issued()
        .map(({ serialNumber }) => serialNumber)
        .filter((serialNumber) => store.get('revocations', serialNumber) !== undefined),
    refusals: () => lab.audit().flatMap(({ event, code, detail = '' }) => (event === 'refused' ? [code ?? detail] : [])),
    warnings: () => lab.audit().flatMap(({ detail = '' }) => (detail.startsWith('warning: ') ? [detail] : [])),
  }
}
