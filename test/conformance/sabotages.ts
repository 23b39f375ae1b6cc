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
import type { PlatformName } from '@certfleet/platforms'
import type { CheckOnSystem, ConformanceTarget, Sabotage, TargetDevice, TargetSession, TargetSetup } from '@certfleet/platforms/conformance'

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
const without = (...keys: (keyof TargetSetup)[]): Broken =>
  opening((device, setup) => [
    device,
    Object.fromEntries(Object.entries(setup).filter(([key]) => !keys.includes(key as keyof TargetSetup))) as TargetSetup,
  ])

const setUp = (own: TargetSetup): Broken => opening((device, setup) => [device, { ...setup, ...own }])
const registeredAs = (platform: PlatformName): Broken => opening((device, setup) => [{ ...device, platform }, setup])

const session = (change: (session: TargetSession) => Partial<TargetSession>): Broken => ({
  target: (target) => ({
    ...target,
    async open(device, setup) {
      const genuine = await target.open(device, setup)
      return { ...genuine, ...change(genuine) }
    },
  }),
})

/** The device is told another policy than the service has. */
const told = (change: (policy: PolicyDocument, session: TargetSession) => PolicyDocument): Broken =>
  session((genuine) => ({ assign: async (policy) => change(await genuine.assign(policy), genuine) }))

const assignedTo = (scep: readonly ('user' | 'device')[], root: readonly ('user' | 'device')[]): Broken =>
  told((policy) => ({
    ...policy,
    scepProfiles: policy.scepProfiles.map((profile) => ({ ...profile, assignedTo: [...scep] })),
    trustedRoots: policy.trustedRoots.map((profile) => ({ ...profile, assignedTo: [...root] })),
  }))

const threshold = (renewalThresholdPercent: number): Broken =>
  told((policy) => ({ ...policy, scepProfiles: policy.scepProfiles.map((profile) => ({ ...profile, renewalThresholdPercent })) }))

const adapter = (change: (genuine: PlatformAdapter, transport: Transport) => Partial<PlatformAdapter>): Broken => ({
  adapter: (genuine, transport) => ({ ...genuine, ...change(genuine, transport) }),
})

/** The OS makes another request of a profile. */
const requesting = (own: Partial<RequestSpec>): Broken =>
  adapter((genuine) => ({ requestFor: (profile) => ({ ...genuine.requestFor(profile), ...own }) }))
const keptIn = (keyStorage: KeyStorageOption): Broken => requesting({ keyStorage })
/** The OS refuses nothing. */
const refusingNothing: Broken = adapter(() => ({ requestFor: ({ request }) => request }))

const sending = (change: (request: HttpRequest, send: Send) => Promise<HttpResponse>): Broken => ({
  transport: (transport) => ({ send: (request, signal) => change(request, (sent) => transport.send(sent, signal)) }),
})

const answer = (status: number, text = ''): HttpResponse => ({ status, headers: {}, body: Buffer.from(text) })

const withCapabilities = (text: string): Broken =>
  sending(async (request, send) => {
    const response = await send(request)
    return operationOf(request) === 'GetCACaps' ? answer(200, text) : response
  })

/** Of PKIOperation only the first gets through. */
const onlyOnce = (): Broken => {
  let count = 0
  return sending(async (request, send) => (operationOf(request) === 'PKIOperation' && count++ > 0 ? answer(502) : send(request)))
}

/** The first PKIOperation does not get through. */
const notAtFirst = (): Broken => {
  let count = 0
  return sending(async (request, send) => (operationOf(request) === 'PKIOperation' && count++ === 0 ? answer(502) : send(request)))
}

const otherMethod: Broken = sending(async (request, send) => {
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

const sameMessage = (): Broken => {
  let first: Uint8Array | undefined
  return sending(async (request, send) => {
    if (request.body === undefined) return send(request)
    first ??= request.body
    return send({ ...request, body: first })
  })
}

const withoutRa: Broken = sending(async (request, send) => {
  const response = await send(request)
  if (operationOf(request) !== 'GetCACert') return response
  const certificates = parseCaCertificates(response.body).authorities.map(({ raw }) => raw)
  return { ...response, body: buildCertificatesOnly({ certificates, crls: [] }) }
})

/** A client of another make, which writes its transactionID in lower case and gives up after that. */
const lowerCase: Broken = adapter((_, transport) => ({
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
const forgetsNothing: Broken = adapter(({ identities }) => {
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

const removesNothing: Broken = adapter(({ identities }) => ({ identities: { ...identities, remove: async () => {} } }))

/** The root that a certificate depends on goes as soon as another comes. */
const oneRoot: Broken = adapter(({ certificateStores }) => ({
  certificateStores: {
    ...certificateStores,
    async install(store, certificate) {
      for (const root of await certificateStores.list()) await certificateStores.remove(root)
      await certificateStores.install(store, certificate)
    },
  },
}))

/** The first request that a profile led to is all that it ever leads to. */
const firstRequest = (): Broken => {
  let first: RequestSpec | undefined
  return adapter((genuine) => ({
    requestFor(profile) {
      first ??= genuine.requestFor(profile)
      return first
    },
  }))
}

/** Each look at a profile leads to another request. */
const restless = (): Broken => {
  let days = 1
  return adapter((genuine) => ({
    requestFor: (profile) => ({ ...genuine.requestFor(profile), validity: { value: days++, scale: 'days' } }),
  }))
}

const samePfx: Broken = adapter((genuine) => ({
  pfxRequestFor: (profile) => ({ ...genuine.pfxRequestFor(profile), certificateRevision: 'v1' }),
}))

/** What is broken for the facts that no override reaches, by fact id. */
export const unread: Readonly<Record<string, () => Broken>> = {
  'validity.apple-template': () => registeredAs('windows'),
  'validity.requested': () => registeredAs('ios'),
  'apple.scep.pki-operation': () => otherMethod,
  'apple.scep.transaction-id': () => lowerCase,
  'android.scep.transaction-id': () => lowerCase,
  'removal.by-user': () => forgetsNothing,
  'removal.scep-edited': () => requesting({ subject: 'CN=device-1,O=Example' }),
  'removal.pkcs-edited': () => samePfx,
  'removal.imported-edited': () => samePfx,
  'windows.pfx.delete': () => removesNothing,
  'windows.pfx.replace': () => samePfx,
  'extended-key-usage.apple-ignored': firstRequest,
  'removal.root-edited': () => oneRoot,
  'subject-format.honoured': () => requesting({ subject: 'CN=somebody else' }),
  'subject-format.apple-not-offered': () => requesting({ subject: 'CN=somebody else' }),
  'extended-key-usage.honoured': () => requesting({ extendedKeyUsages: [] }),
}

/** What is broken for checks that claim no fact, by check id. */
const byCheck: readonly (readonly [RegExp, (one: CheckOnSystem) => Broken])[] = [
  [
    /^trust\.root-not-assigned$/,
    () =>
      told((policy, { root }) => ({
        ...policy,
        trustedRoots: [
          {
            id: 'root',
            displayName: 'Root',
            certificate: Buffer.from(root).toString('base64'),
            destinationStore: 'computer-root',
            assignedTo: ['device'],
          },
        ],
      })),
  ],
  [
    /^trust\.assignment/,
    ({ check }) => (check.expect.includes('fails') ? assignedTo(['user', 'device'], ['user', 'device']) : assignedTo(['user'], ['device'])),
  ],
  [
    /^trust\.other-platform\.not-applicable$/,
    () => session(({ author }) => ({ author: async (profiles) => author?.({ ...profiles, rootFor: 'windows', scepFor: 'ios' }) as never })),
  ],
  [
    /^trust\.other-platform\.rejected$/,
    () => session(({ author }) => ({ author: async (profiles) => author?.({ ...profiles, rootFor: profiles.scepFor }) as never })),
  ],
  [
    /^trust\.variable-unresolved$/,
    () => session(({ author }) => ({ author: async (profiles) => author?.({ ...profiles, subject: 'CN={{DeviceId}}' }) as never })),
  ],
  [/^trust\.several-roots$/, () => told((policy) => ({ ...policy, trustedRoots: policy.trustedRoots.slice(0, 1) }))],
  [/^stores\.computer-root$/, () => adapter(() => ({ storeFor: () => 'user-intermediate' }))],
  [/^stores\..*\.ignored$/, () => adapter(() => ({ storeFor: () => 'user-intermediate' }))],
  [
    /^stores\.user-root$/,
    () =>
      told((policy) => ({ ...policy, trustedRoots: policy.trustedRoots.map((root) => ({ ...root, destinationStore: 'computer-root' })) })),
  ],
  [/^keys\.tpm-else-software\.without-tpm/, () => keptIn('useTpmKspOtherwiseFail')],
  [/^keys\.software\.with-tpm/, () => keptIn('useTpmKspOtherwiseUseSoftwareKsp')],
  [/^keys\.passport\.missing$/, () => keptIn('useSoftwareKsp')],
  [/^keys\.(passport\.1024|4096\.too-old)/, () => refusingNothing],
  [/^(subjects\.|matrix\.san)/, () => requesting({ subjectAltNames: [] })],
  [/^validity\.not-honoured/, () => setUp({ attributeEndDate: true })],
  [/^validity\.longer-than-template/, () => setUp({ templateDays: 365 })],
  [/^validity\.apple\.proof-of-origin/, () => without('proofOfOrigin')],
  [/^wire\.transaction-id/, () => lowerCase],
  [/^wire\.nonce/, sameMessage],
  [/^servers\.(switch-mid-exchange|unknown-ca)/, () => without('otherAuthority')],
  [/^servers\.registration-authority/, () => withoutRa],
  [/^servers\.capabilities\.sha1-alone/, () => withCapabilities('AES\nSHA-256\nPOSTPKIOperation\n')],
  [/^servers\.capabilities/, () => withCapabilities('DES3\nSHA-256\nPOSTPKIOperation\n')],
  [/^servers\.ndes\.capabilities/, () => withCapabilities('AES\nSHA-256\nPOSTPKIOperation\n')],
  [/^servers\.ndes\.failure/, () => without('ndesFailures')],
  [/^servers\.(probe|url-length)/, () => sending(async () => answer(200))],
  [/^servers\.key-usage\.template/, () => without('templatesByKeyUsage')],
  [/^refusals\.challenge\.fresh/, () => session(slowChallenges)],
  [/^refusals\.challenge/, () => ({ goodChallenge: true })],
  [/^refusals\.subject-altered/, () => requesting({ subject: 'CN=device-1,O=Example' })],
  [/^refusals\.not-asked-again/, notAtFirst],
  [/^pending\.messages/, () => adapter(({ pendingSchedule }) => ({ pendingSchedule: { ...pendingSchedule, polls: 1 } }))],
  [/^edits\..*\.nothing/, restless],
  [/^edits\./, firstRequest],
  [/^renewal\.threshold$/, () => threshold(30)],
  [/^renewal\.threshold\.(0|100)$/, () => threshold(20)],
  [/^renewal\.threshold\.(1|99)$/, () => threshold(0)],
  [/^(renewal\.retried|matrix\.renewal)/, onlyOnce],
  [/^renewal\.installed-again/, () => removesNothing],
  [
    /^pfx\.installed/,
    () => session(() => ({ pfxSource: { pfxFor: () => Promise.reject(new AgentError('ERR_PFX_UNAVAILABLE', 'there is none')) } })),
  ],
  [/^pfx\.several-certificates/, () => adapter(() => ({ pfxRules: { reads: 'modern', maxCertificates: 1 } }))],
  [
    /^pfx\.key-location\.software/,
    () =>
      adapter((genuine) => ({ pfxRequestFor: (profile) => ({ ...genuine.pfxRequestFor(profile), keyStorage: 'useTpmKspOtherwiseFail' }) })),
  ],
  [
    /^pfx\.key-location/,
    () => adapter((genuine) => ({ pfxRequestFor: (profile) => ({ ...genuine.pfxRequestFor(profile), keyStorage: 'useSoftwareKsp' }) })),
  ],
  [/^matrix\.subject/, () => requesting({ subject: 'CN=somebody else' })],
  [/^matrix\.key-usage/, () => requesting({ keyUsages: [] })],
  [/^matrix\.eku/, () => requesting({ extendedKeyUsages: ['1.3.6.1.5.5.7.3.1'] })],
  [/^matrix\.hash\.sha1/, () => withCapabilities('AES\nSHA-1\nPOSTPKIOperation\n')],
  [/^matrix\.refusal/, () => without('refusing')],
]

function slowChallenges({ challengeSource, advance }: TargetSession): Partial<TargetSession> {
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

export function sabotageOf(one: CheckOnSystem): Broken | undefined {
  return byCheck.find(([pattern]) => pattern.test(one.check.id))?.[1](one)
}
