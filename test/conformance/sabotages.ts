import { AgentError } from '@certfleet/agent-core'
import type { CheckOnSystem } from '@certfleet/platforms/conformance'
import {
  adapter,
  answer,
  assignedTo,
  type Broken,
  firstRequest,
  forgetsNothing,
  keptIn,
  lowerCase,
  notAtFirst,
  oneRoot,
  onlyOnce,
  otherMethod,
  refusingNothing,
  registeredAs,
  removesNothing,
  requesting,
  restless,
  sameMessage,
  samePfx,
  sending,
  session,
  setUp,
  slowChallenges,
  threshold,
  told,
  withCapabilities,
  without,
  withoutRa,
} from './broken.ts'
import { otherAndroidMessage, otherMessage, otherProfile } from './deliveries.ts'

/** What is broken for the facts that no override reaches, by fact id. */
export const unread: Readonly<Record<string, () => Broken>> = {
  'validity.apple-template': () => registeredAs({ platform: 'windows' }),
  'validity.requested': () => registeredAs({ platform: 'ios' }),
  'apple.scep.pki-operation': () => otherMethod,
  'apple.scep.transaction-id': () => lowerCase,
  'android.scep.transaction-id': () => lowerCase,
  'removal.by-user': () => forgetsNothing,
  'removal.scep-edited': () => requesting({ subject: 'CN=device-1,O=Example' }),
  'windows.pfx.delete': () => removesNothing,
  'android.removal.owner': () => registeredAs({ management: 'knox' }),
  'ndes.key-length': () => without('leastKeyBits'),
  'extended-key-usage.apple-ignored': firstRequest,
  'removal.root-edited': () => oneRoot,
  'subject-format.honoured': () => requesting({ subject: 'CN=somebody else' }),
  'subject-format.apple-not-offered': () => requesting({ subject: 'CN=somebody else' }),
  'extended-key-usage.honoured': () => requesting({ extendedKeyUsages: [] }),
}

/** Facts that no override reaches either, since the code has no other way: what is broken for the check that claims them shows them. */
export const inCode: ReadonlySet<string> = new Set([
  'apple.status.answer',
  'windows.status.values',
  'windows.status.pfx',
  'windows.status.thumbprint',
  'apple.scep-payload.required',
  'windows.csp.container-name',
  'windows.csp.atomic',
  'windows.csp.enroll-last',
  'windows.csp.snapshot',
  'windows.csp.caseless-paths',
  'windows.csp.root-nodes',
  'windows.csp.no-user-root',
  'windows.csp.pfx-nodes',
  'windows.pfx.replace',
  'removal.pkcs-edited',
  'removal.imported-edited',
  'android.syncml.threshold',
  'android.syncml.validity',
])

/** What is broken for checks that claim no fact, or one that is in code, by check id. */
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
  [/^trust\.applies\.no-pfx$/, () => adapter(() => ({ inapplicable: () => undefined }))],
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
  [/^pending\.(messages|retry-count)/, () => adapter(({ pendingSchedule }) => ({ pendingSchedule: { ...pendingSchedule, polls: 1 } }))],
  [/^pfx\.\w+\.edited$/, () => samePfx],
  [/^syncml\./, ({ platform }) => ({ delivery: () => (platform === 'android' ? otherAndroidMessage : otherMessage) })],
  [/^payloads\./, () => ({ delivery: () => otherProfile })],
  [/^status\./, () => adapter(() => ({ shownOf: () => ({ Status: 32, CertThumbprint: 'A'.repeat(40) }) }))],
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

export function sabotageOf(one: CheckOnSystem): Broken | undefined {
  return byCheck.find(([pattern]) => pattern.test(one.check.id))?.[1](one)
}
