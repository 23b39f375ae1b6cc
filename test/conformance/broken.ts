import {
  AgentError,
  type EnrollmentRequest,
  type HttpRequest,
  type HttpResponse,
  type KeyStorageOption,
  type PlatformAdapter,
  type PolicyDocument,
  type RequestSpec,
  type Transport,
} from '@certfleet/agent-core'
import { buildCertificatesOnly } from '@certfleet/agent-core/cms'
import { buildPkiRequest, buildRequestSigner, parseCaCertificates, transactionIdFor } from '@certfleet/agent-core/scep/messages'
import type { ConformanceTarget, Sabotage, TargetDevice, TargetSession, TargetSetup } from '@certfleet/platforms/conformance'

/** A part that is broken on purpose: of the device, or of the target. */
export interface Broken extends Sabotage {
  readonly target?: (target: ConformanceTarget) => ConformanceTarget
}

type Send = Transport['send']

const operationOf = ({ url }: HttpRequest): string => new URL(url).searchParams.get('operation') ?? ''

const opening = (change: (device: TargetDevice, setup: TargetSetup) => [TargetDevice, TargetSetup]): Broken => ({
  target: (target) => ({ ...target, open: (device, setup) => target.open(...change(device, setup)) }),
})

/** The target is set up as if the check had not asked for this. */
export const without = (...keys: (keyof TargetSetup)[]): Broken =>
  opening((device, setup) => [
    device,
    Object.fromEntries(Object.entries(setup).filter(([key]) => !keys.includes(key as keyof TargetSetup))) as TargetSetup,
  ])

export const setUp = (own: TargetSetup): Broken => opening((device, setup) => [device, { ...setup, ...own }])
export const registeredAs = (own: Partial<TargetDevice>): Broken => opening((device, setup) => [{ ...device, ...own }, setup])

export const session = (change: (session: TargetSession) => Partial<TargetSession>): Broken => ({
  target: (target) => ({
    ...target,
    async open(device, setup) {
      const genuine = await target.open(device, setup)
      return { ...genuine, ...change(genuine) }
    },
  }),
})

/** The device is told another policy than the service has. */
export const told = (change: (policy: PolicyDocument, session: TargetSession) => PolicyDocument): Broken =>
  session((genuine) => ({ assign: async (policy) => change(await genuine.assign(policy), genuine) }))

export const assignedTo = (scep: readonly ('user' | 'device')[], root: readonly ('user' | 'device')[]): Broken =>
  told((policy) => ({
    ...policy,
    scepProfiles: policy.scepProfiles.map((profile) => ({ ...profile, assignedTo: [...scep] })),
    trustedRoots: policy.trustedRoots.map((profile) => ({ ...profile, assignedTo: [...root] })),
  }))

export const threshold = (renewalThresholdPercent: number): Broken =>
  told((policy) => ({ ...policy, scepProfiles: policy.scepProfiles.map((profile) => ({ ...profile, renewalThresholdPercent })) }))

export const adapter = (change: (genuine: PlatformAdapter, transport: Transport) => Partial<PlatformAdapter>): Broken => ({
  adapter: (genuine, transport) => ({ ...genuine, ...change(genuine, transport) }),
})

/** The OS makes another request of a profile. */
export const requesting = (own: Partial<RequestSpec>): Broken =>
  adapter((genuine) => ({ requestFor: (profile) => ({ ...genuine.requestFor(profile), ...own }) }))
export const keptIn = (keyStorage: KeyStorageOption): Broken => requesting({ keyStorage })
/** The OS refuses nothing. */
export const refusingNothing: Broken = adapter(() => ({ requestFor: ({ request }) => request }))

export const sending = (change: (request: HttpRequest, send: Send) => Promise<HttpResponse>): Broken => ({
  transport: (transport) => ({ send: (request, signal) => change(request, (sent) => transport.send(sent, signal)) }),
})

export const answer = (status: number, text = ''): HttpResponse => ({ status, headers: {}, body: Buffer.from(text) })

export const withCapabilities = (text: string): Broken =>
  sending(async (request, send) => {
    const response = await send(request)
    return operationOf(request) === 'GetCACaps' ? answer(200, text) : response
  })

/** Of PKIOperation only the first gets through. */
export const onlyOnce = (): Broken => {
  let count = 0
  return sending(async (request, send) => (operationOf(request) === 'PKIOperation' && count++ > 0 ? answer(502) : send(request)))
}

/** The first PKIOperation does not get through. */
export const notAtFirst = (): Broken => {
  let count = 0
  return sending(async (request, send) => (operationOf(request) === 'PKIOperation' && count++ === 0 ? answer(502) : send(request)))
}

export const otherMethod: Broken = sending(async (request, send) => {
  if (operationOf(request) !== 'PKIOperation') return send(request)
  const url = new URL(request.url)
  if (request.method === 'POST') {
    url.searchParams.set('message', Buffer.from(request.body ?? []).toString('base64'))
    return send({ method: 'GET', url: url.href, headers: request.headers })
  }
  const body = Buffer.from(url.searchParams.get('message') ?? '', 'base64')
  url.searchParams.delete('message')
  return send({ method: 'POST', url: url.href, headers: request.headers, body })
})

export const sameMessage = (): Broken => {
  let first: Uint8Array | undefined
  return sending(async (request, send) => {
    if (request.body === undefined) return send(request)
    first ??= request.body
    return send({ ...request, body: first })
  })
}

export const withoutRa: Broken = sending(async (request, send) => {
  const response = await send(request)
  if (operationOf(request) !== 'GetCACert') return response
  const certificates = parseCaCertificates(response.body).authorities.map(({ raw }) => raw)
  return { ...response, body: buildCertificatesOnly({ certificates, crls: [] }) }
})

/** A client of another make, which writes its transactionID in lower case and gives up after that. */
export const lowerCase: Broken = adapter((_, transport) => ({
  protocolFor(profile) {
    const url = profile.scepUrls[0] as string
    const request = async ({ csr, key }: EnrollmentRequest): Promise<never> => {
      const { body } = await transport.send({ method: 'GET', url: `${url}?operation=GetCACert`, headers: {} })
      const { recipient } = parseCaCertificates(body)
      const signer = await buildRequestSigner({ subject: 'CN=another client', key, hash: 'sha256', at: 1_768_000_000_000 })
      const transactionId = transactionIdFor(key.publicKey).toLowerCase()
      const how = { messageType: 'PKCSReq', hash: 'sha256', cipher: 'aes-128-cbc' } as const
      const { message } = await buildPkiRequest({ ...how, content: csr, transactionId, recipient, signer })
      await transport.send({ method: 'POST', url: `${url}?operation=PKIOperation`, headers: {}, body: message })
      throw new AgentError('ERR_HTTP_STATUS', 'it gives up')
    }
    return { name: 'another client', request, poll: request }
  },
}))

/** The agent does not see that a certificate is gone. */
export const forgetsNothing: Broken = adapter(({ identities }) => {
  const seen = new Map<string, Awaited<ReturnType<typeof identities.list>>[number]>()
  return {
    identities: {
      ...identities,
      async list() {
        for (const identity of await identities.list()) seen.set(`${identity.principal}/${identity.profileId}`, identity)
        return [...seen.values()]
      },
    },
  }
})

export const removesNothing: Broken = adapter(({ identities }) => ({ identities: { ...identities, remove: async () => {} } }))

/** The root that a certificate depends on goes as soon as another comes. */
export const oneRoot: Broken = adapter(({ certificateStores }) => ({
  certificateStores: {
    ...certificateStores,
    async install(store, certificate) {
      for (const root of await certificateStores.list()) await certificateStores.remove(root)
      await certificateStores.install(store, certificate)
    },
  },
}))

/** The first request that a profile led to is all that it ever leads to. */
export const firstRequest = (): Broken => {
  let first: RequestSpec | undefined
  return adapter((genuine) => ({
    requestFor(profile) {
      first ??= genuine.requestFor(profile)
      return first
    },
  }))
}

/** Each look at a profile leads to another request. */
export const restless = (): Broken => {
  let days = 1
  return adapter((genuine) => ({
    requestFor: (profile) => ({ ...genuine.requestFor(profile), validity: { value: days++, scale: 'days' } }),
  }))
}

export const samePfx: Broken = adapter((genuine) => ({
  pfxRequestFor: (profile) => ({ ...genuine.pfxRequestFor(profile), certificateRevision: 'v1' }),
}))

export function slowChallenges({ challengeSource, advance }: TargetSession): Partial<TargetSession> {
  return {
    challengeSource: {
      async challengeFor(...asked) {
        const challenge = await challengeSource.challengeFor(...asked)
        await advance?.(1)
        return challenge
      },
    },
  }
}
