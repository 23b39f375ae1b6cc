import { AgentError, type HttpRequest, type HttpResponse } from '@certfleet/agent-core'
import type { Check, SystemUnderTest } from '../check.ts'
import type { CheckContext, DeviceWishes } from '../context.ts'
import type { ConformanceDevice } from '../device.ts'
import { assigned, enrolled, type Given, policyWith, scepProfile } from '../documents.ts'
import { operationOf } from '../wire.ts'
import { withCapabilities } from './wire.ts'

/** What a device shows of a profile, in the fewest words. */
export interface Shown {
  /** Status, and the HRESULT where there is one. */
  readonly windows?: string
  /** The innermost error. */
  readonly apple?: string
  readonly android?: string
}

export interface StatusRow extends Pick<Check, 'source' | 'given'> {
  readonly id: string
  readonly on?: readonly SystemUnderTest[]
  readonly shown: Shown
  readonly facts: readonly string[]
  readonly needs?: Check['needs']
  /** Brings the device where it shows that of the profile `profileId`, by default that of `scepProfile`. */
  readonly profileId?: string
  to(context: CheckContext): Promise<ConformanceDevice>
}

const given =
  (what: Given) =>
  (context: CheckContext): Promise<ConformanceDevice> =>
    assigned(context, what)

/** The server answers like this from some request on. */
const answering = (answer: (request: HttpRequest) => HttpResponse | undefined): DeviceWishes => ({
  between: async (request, send) => answer(request) ?? send(request),
})

export const down: DeviceWishes = {
  async between() {
    throw new AgentError('ERR_NETWORK', 'the server is down')
  },
}

/** How a device gets there, and what it shows then. */
export const statusRows: readonly StatusRow[] = [
  {
    id: 'installed',
    given: 'a certificate that is installed',
    shown: { windows: 'Status 1', apple: 'Status Acknowledged', android: 'CERT_ACCESS_GRANTED' },
    source: 'W-CCI Status; A-DM mdm/commands/profile.install.yaml; ID-DEL Android log',
    facts: ['windows.status.values', 'apple.status.answer', 'android.status.installed'],
    to: given({}),
  },
  {
    id: 'pending',
    given: 'a request that the CA left pending',
    shown: { windows: 'Status 2', apple: 'nothing' },
    source: 'W-CCI Status; A-DM mdm/commands/profile.install.yaml',
    facts: ['windows.status.values', 'apple.status.answer'],
    to: given({ setup: { pendingAnswers: 9 } }),
  },
  {
    id: 'no-tpm',
    given: '"TPM, otherwise fail", and no TPM',
    shown: { windows: 'Status 16 0x80090030' },
    source: 'SEED S26; W-CCI Status, ErrorCode',
    facts: ['windows.status.values', 'windows.error.0x80090030'],
    to: given({ scep: { keyStorage: 'useTpmKspOtherwiseFail' } }),
  },
  {
    id: 'unsupported',
    given: 'a key size that the device never makes',
    on: ['windows', 'ios-13', 'macos-10.15'],
    shown: { windows: 'Status 16 0x80090029', apple: 'MCSCEPErrorDomain 22004' },
    source: 'M-SCEP Key size; W-ERR NTE_NOT_SUPPORTED; A-ERR MCSCEPErrorDomain 22004',
    facts: ['windows.error.0x80090029', 'apple.error.22004'],
    to: given({ scep: { keyBits: 4096, keyStorage: 'useTpmKspOtherwiseFail' }, keyStorage: ['tpm'] }),
  },
  {
    id: 'unknown-ca',
    given: 'a CA that does not lead to the root of the profile',
    shown: { windows: 'Status 16 0x80091007', apple: 'MCSCEPErrorDomain 22002' },
    source: 'W-DDF Install/CAThumbprint; A-ERR MCSCEPErrorDomain 22002',
    facts: ['windows.error.0x80091007', 'apple.error.22002'],
    async to(context) {
      const other = await context.device({ setup: { otherAuthority: true } })
      return assigned(context, { root: { certificate: Buffer.from(other.session.root).toString('base64') } })
    },
  },
  {
    id: 'capabilities',
    given: 'a CA that offers nothing better than SHA-1',
    shown: { windows: 'Status 16 0x80090008', apple: 'MCSCEPErrorDomain 22006' },
    source: 'MICROMDM scep#23; A-ERR MCSCEPErrorDomain 22006; W-ERR NTE_BAD_ALGID',
    facts: ['windows.error.0x80090008', 'apple.error.22006'],
    to: given({ between: withCapabilities('AES\nSHA-1\nPOSTPKIOperation\n') }),
  },
  {
    id: 'capabilities.none',
    on: ['ios', 'macos'],
    given: 'a CA that names no digest at all',
    shown: { apple: 'MCSCEPErrorDomain 22006' },
    source: 'MICROMDM scep#23; A-ERR MCSCEPErrorDomain 22006',
    facts: ['ios.scep.needs-digest', 'macos.scep.needs-digest'],
    to: given({ between: withCapabilities('AES\nDES3\nPOSTPKIOperation\n') }),
  },
  {
    id: 'unreachable',
    given: 'a SCEP server that is down',
    shown: { windows: 'Status 16 0x80072ee7', apple: 'MCSCEPErrorDomain 22005' },
    source: 'W-ERR 12007; A-ERR MCSCEPErrorDomain 22005',
    facts: ['windows.error.0x80072ee7', 'apple.error.22005'],
    to: given(down),
  },
  {
    id: 'tls',
    given: 'a SCEP server whose TLS certificate is for another name',
    shown: { windows: 'Status 16 0x80072f8f', apple: 'MCSCEPErrorDomain 22005' },
    source: 'GRAD event 86; A-ERR MCSCEPErrorDomain 22005',
    facts: ['windows.error.0x80072f8f'],
    to: given({
      async between() {
        throw new AgentError('ERR_NETWORK', 'the server cannot be reached: ERR_TLS_CERT_ALTNAME_INVALID')
      },
    }),
  },
  {
    id: 'not-let-in',
    given: 'a proxy that does not let the device through',
    shown: { windows: 'Status 16 0x80070005', apple: 'MCSCEPErrorDomain 22005' },
    source: 'W-ERR E_ACCESSDENIED; A-ERR MCSCEPErrorDomain 22005',
    facts: ['windows.error.0x80070005'],
    to: given({
      async between() {
        throw new AgentError('ERR_UNAUTHORIZED', 'the proxy asks for other credentials')
      },
    }),
  },
  {
    id: 'too-large',
    given: 'an answer that is too large for SCEP',
    shown: { windows: 'Status 16 0x80072f78', apple: 'MCSCEPErrorDomain 22013' },
    source: 'UCM #326; A-ERR MCSCEPErrorDomain 22013',
    facts: ['windows.error.0x80072f78'],
    to: given({
      async between() {
        throw new AgentError('ERR_LIMIT_EXCEEDED', 'the answer is too large')
      },
    }),
  },
  {
    id: 'no-key-storage',
    on: ['ios', 'macos'],
    given: 'a device that can make no key',
    shown: { apple: 'MCSCEPErrorDomain 22001' },
    source: 'A-ERR MCSCEPErrorDomain 22001',
    facts: ['apple.error.22001'],
    to: given({ keyStorage: [] }),
  },
  {
    id: 'http-status',
    given: 'a SCEP server that answers 502',
    shown: { windows: 'Status 16 0x80190001', apple: 'MCSCEPErrorDomain 22013' },
    source: 'W-ERR HTTP_E_STATUS_UNEXPECTED; A-ERR MCSCEPErrorDomain 22013',
    facts: ['windows.error.0x80190001', 'apple.error.22013'],
    to: given(answering(() => ({ status: 502, headers: {}, body: new Uint8Array() }))),
  },
  {
    id: 'not-readable',
    given: 'a GetCACert that cannot be read',
    shown: { windows: 'Status 16 0x8009310b', apple: 'MCSCEPErrorDomain 22013' },
    source: 'W-ERR CRYPT_E_ASN1_BADTAG; A-ERR MCSCEPErrorDomain 22013',
    facts: ['windows.error.0x8009310b'],
    to: given(
      answering((request) =>
        operationOf(request) === 'GetCACert' ? { status: 200, headers: {}, body: Buffer.from('3003020101', 'hex') } : undefined,
      ),
    ),
  },
  {
    id: 'refused',
    given: 'a CA that refuses the request',
    shown: { windows: 'Status 16 0x80070057', apple: 'MCSCEPErrorDomain 22013' },
    source: 'SSCEP #59; A-ERR MCSCEPErrorDomain 22013',
    facts: ['windows.error.0x80070057'],
    to: given({ challenge: async (_, { wrongChallenge }) => wrongChallenge }),
  },
  {
    id: 'refused.ndes',
    given: 'NDES, which refuses a key of 1024 bits with CERTSRV_E_KEY_LENGTH',
    shown: { windows: 'Status 16 0x80094811' },
    source: 'GRAD event 87; SSCEP #59',
    facts: ['windows.error.ndes', 'ndes.key-length'],
    to: given({ setup: { ndesFailures: true, leastKeyBits: 2048 }, scep: { keyBits: 1024 } }),
  },
  {
    id: 'other-server',
    given: 'a reply that another than the RA signed',
    shown: { windows: 'Status 16 0x80090006', apple: 'MCSCEPErrorDomain 22013' },
    source: 'W-ERR NTE_BAD_SIGNATURE; A-ERR MCSCEPErrorDomain 22013',
    facts: ['windows.error.0x80090006'],
    async to(context) {
      const other = await context.device({ setup: { otherAuthority: true } })
      return assigned(context, {
        between: (request, send) => (operationOf(request) === 'PKIOperation' ? other.session.transport.send(request) : send(request)),
      })
    },
  },
  {
    id: 'replayed',
    given: 'a server that answers with the reply to an earlier request',
    shown: { windows: 'Status 16 0x80091006', apple: 'MCSCEPErrorDomain 22013' },
    source: 'FLEET #38341; A-SEC SecSCEP; J EnrollmentTransaction',
    facts: ['windows.error.0x80091006', 'apple.scep.reply-checks'],
    async to(context) {
      let first: HttpResponse | undefined
      const { device } = await enrolled(context, {
        async between(request, send) {
          if (operationOf(request) !== 'PKIOperation') return send(request)
          first ??= await send(request)
          return first
        },
      })
      await device.identities.remove('device/wifi')
      return device
    },
  },
  {
    id: 'no-challenge',
    given: 'a service that gives no challenge',
    shown: { windows: 'Status 16 0x80072ee7', apple: 'MCSCEPErrorDomain 22011' },
    source: 'W-ERR 12007; A-ERR MCSCEPErrorDomain 22011',
    facts: ['apple.error.22011'],
    to: given({
      async challenge() {
        throw new AgentError('ERR_CHALLENGE_UNAVAILABLE', 'there is none')
      },
    }),
  },
  {
    id: 'no-root',
    given: 'a SCEP profile whose Trusted profile is not assigned',
    shown: { windows: 'Status 16 0x800b0109', apple: 'MCProfileErrorDomain 1009' },
    source: 'W-ERR CERT_E_UNTRUSTEDROOT; A-ERR MCProfileErrorDomain 1009',
    facts: ['windows.error.0x800b0109', 'apple.error.1009'],
    async to(context) {
      const device = await context.device()
      await device.assign(policyWith({ scepProfiles: [scepProfile(device.session)] }))
      return device
    },
  },
  {
    id: 'invalid',
    given: 'a profile that cannot be followed',
    shown: { windows: 'Status 16 0x80070057', apple: 'MCPayloadErrorDomain 2004' },
    source: 'W-ERR E_INVALIDARG; A-ERR MCPayloadErrorDomain 2004',
    facts: ['apple.error.2004'],
    to: given({ scep: { renewalThresholdPercent: 0 } }),
  },
  {
    id: 'variable',
    given: 'a profile with a variable that the device has no value for',
    shown: { windows: 'Status 16 0x80070057', apple: 'MCPayloadErrorDomain 2002' },
    source: 'W-ERR E_INVALIDARG; A-ERR MCPayloadErrorDomain 2002',
    facts: ['apple.error.2002'],
    needs: ['author'],
    async to(context) {
      const device = await context.device()
      const { platform } = context.os
      const authored = await device.session.author?.({ rootFor: platform, scepFor: platform, subject: 'CN={{IMEI}}' })
      await device.assign(authored?.policy ?? policyWith({}))
      return device
    },
  },
  {
    id: 'timeout',
    given: 'a CA that leaves the request pending, and a delivery that asks for no poll',
    shown: { windows: 'Status 16 0x800705b4', apple: 'MCSCEPErrorDomain 22013' },
    source: 'W-ERR ERROR_TIMEOUT; A-ERR MCSCEPErrorDomain 22013',
    facts: ['windows.error.0x800705b4'],
    async to(context) {
      const device = await assigned(context, { setup: { pendingAnswers: 9 }, retries: { count: 0 } })
      await device.checkIn()
      return device
    },
  },
]
