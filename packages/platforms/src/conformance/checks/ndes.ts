import { type Check, holdsTrue, same } from '../check.ts'
import { assigned, enrolled, installed, statusOf } from '../documents.ts'
import { algorithmsIn, messageOf, pkiMessages, pkiOperations } from '../wire.ts'
import { withCapabilities } from './wire.ts'

const usual = ['ios', 'macos', 'android', 'windows'] as const

const usages = [
  [['digitalSignature'], 'Signature'],
  [['keyEncipherment'], 'Encryption'],
  [['digitalSignature', 'keyEncipherment'], 'GeneralPurpose'],
] as const

/** What NDES does, and devices make of it. */
export const ndesChecks: readonly Check[] = [
  {
    id: 'servers.ndes.capabilities',
    on: usual,
    given: 'the capabilities of NDES: 3DES and no AES',
    expect: 'the request is encrypted with 3DES, and signed over SHA-512',
    source: 'ID-NDES PKIOperation; RFC8894 2.9',
    facts: ['apple.scep.ndes-algorithms'],
    async run(context) {
      const ndes = 'POSTPKIOperation\nRenewal\nSHA-512\nSHA-256\nSHA-1\nDES3\n'
      const { device } = await enrolled(context, { between: withCapabilities(ndes) })
      same(
        pkiOperations(device).map((request) => algorithmsIn(messageOf(request))),
        [['3DES']],
        'ciphers and weak digests of the request',
      )
      same(
        pkiMessages(device).map(({ hash }) => hash),
        ['sha512'],
        'digests',
      )
    },
  },
  {
    id: 'servers.ndes.failure',
    on: usual,
    given: 'a failure as NDES writes it: one zero octet of content, no certificates, an HRESULT',
    expect: 'it is read as a failure, and the HRESULT is told; nothing is decrypted',
    source: 'SSCEP #59, one captured message; RFC8894 3.2.1.3',
    facts: ['ndes.failure', 'ndes.bad-request'],
    async run(context) {
      const device = await assigned(context, { setup: { ndesFailures: true }, challenge: async (_, { wrongChallenge }) => wrongChallenge })
      const { code, message = '' } = statusOf(await device.checkIn())
      same(code, 'ERR_ENROLLMENT_REJECTED', 'the profile fails with')
      holdsTrue(/0x80070057/i.test(message), `the HRESULT 0x80070057 is not told: ${message}`)
    },
  },
  {
    id: 'servers.paths',
    on: ['windows'],
    given: 'GetCACaps at mscep.dll and at pkiclient.exe below it',
    expect: 'both answer',
    source: 'NDES-DOC overview',
    facts: ['ndes.paths'],
    async run(context) {
      const { session, transport } = await context.device()
      const ask = (path: string) => transport.send({ method: 'GET', url: `${session.scepUrl}${path}?operation=GetCACaps`, headers: {} })
      same([(await ask('')).status, (await ask('/pkiclient.exe')).status], [200, 200], 'HTTP statuses')
    },
  },
  {
    id: 'servers.content-types',
    on: ['windows'],
    given: 'an ordinary enrolment',
    expect: 'the answers have the media types of SCEP',
    source: 'MMS server/transport.go; RFC8894 4',
    facts: ['scep.content-types'],
    async run(context) {
      const { device } = await enrolled(context)
      same(
        device.exchanges.map(({ response }) => response?.headers['content-type']),
        ['text/plain', 'application/x-x509-ca-ra-cert', 'application/x-pki-message'],
        'media types',
      )
    },
  },
  {
    id: 'servers.key-usage.one-template',
    on: ['windows'],
    given: 'profiles whose key usage is to sign, to encrypt, and both, at an NDES whose registry was not touched',
    expect: 'one template for all',
    source: 'CM-CP NDES; GRAD device template',
    facts: ['ndes.default-template'],
    needs: ['issued'],
    async run(context) {
      const templates: string[] = []
      for (const [keyUsages] of usages) {
        const { device } = await enrolled(context, { scep: { keyUsages: [...keyUsages] } })
        templates.push(...(device.session.issued?.().map((issued) => issued.template) ?? []))
      }
      same(new Set(templates).size, 1, 'templates')
    },
  },
  {
    id: 'servers.probe',
    on: ['windows'],
    given: 'GET of the SCEP URL without an operation, where the policy module is installed',
    expect: '403',
    source: 'SEED S57; ID-NDES health probe',
    facts: ['ndes.probe'],
    async run(context) {
      const { session, transport } = await context.device()
      const { status } = await transport.send({ method: 'GET', url: session.scepUrl, headers: {} })
      same(status, 403, 'HTTP status')
    },
  },
  {
    id: 'servers.url-length',
    on: ['windows'],
    given: 'a URL of 65534 characters, path and query, and one of 65535',
    expect: 'the first passes the filter, the second is answered 414',
    source: 'SEED S56; ID-NDES 414',
    facts: ['ndes.longest-url', 'ndes.too-long'],
    async run(context) {
      const { session, transport } = await context.device()
      const { origin } = new URL(session.scepUrl)
      const target = `${session.scepUrl.slice(origin.length)}?operation=PKIOperation&message=`
      const get = async (length: number) => {
        const { status } = await transport.send({ method: 'GET', url: origin + target.padEnd(length, 'A'), headers: {} })
        return status
      }
      holdsTrue((await get(65_534)) !== 414, 'a URL of 65534 characters is refused')
      same(await get(65_535), 414, 'HTTP status of a URL of 65535 characters')
    },
  },
  {
    id: 'servers.key-usage.template',
    on: usual,
    given: 'profiles whose key usage is to sign, to encrypt, and both',
    expect: 'NDES takes the template for signatures, for encryption, and for both; the certificate has those key usages',
    source: 'SEED S35, S36',
    facts: ['ndes.templates'],
    needs: ['issued'],
    async run(context) {
      for (const [keyUsages, template] of usages) {
        const { device } = await enrolled(context, { setup: { templatesByKeyUsage: true }, scep: { keyUsages: [...keyUsages] } })
        same(
          device.session.issued?.().map((issued) => issued.template),
          [template],
          'templates',
        )
        const leaf = await installed(device)
        same([...(leaf.keyUsage ?? [])].sort(), [...keyUsages].sort(), 'key usages')
      }
    },
  },
]
