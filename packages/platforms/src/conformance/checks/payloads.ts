import type { PlistValue } from '../../apple/rendering/property-list.ts'
import { renderMobileconfig } from '../../apple/rendering/render.ts'
import type { ReadDelivery, ScepDelivery } from '../../rendering/delivery.ts'
import { type Check, same } from '../check.ts'
import { payload, profile, scepPayload } from '../messages.ts'
import { type Reading, reading, refusedNaming } from './readings.ts'

const apple = ['ios', 'macos'] as const
const A = 'A-DM com.apple.security.scep'

type Contents = Readonly<Record<string, PlistValue | undefined>>
type Row = Pick<Reading, 'id' | 'given' | 'source' | 'facts' | 'text'> & Partial<Pick<Reading, 'on' | 'of' | 'is' | 'names'>>

const payloads = ({ id, ...row }: Row): Check => reading({ on: apple, ...row, id: `payloads.${id}` })

/** A SCEP payload with these keys in its inner dictionary. */
const key = (id: string, given: string, contents: Contents, is: unknown, fact: string, row = A): Check =>
  payloads({ id, given, text: profile([scepPayload(contents)]), facts: [fact], source: row, ...(is !== undefined && { is }) })

const keys: readonly Check[] = [
  key(
    'key-usage.sign',
    'Key Usage 1',
    { 'Key Usage': 1 },
    { keyUsages: ['digitalSignature'] },
    'apple.scep-payload.key-usage',
    `${A} Key Usage`,
  ),
  key(
    'key-usage.encrypt',
    'Key Usage 4',
    { 'Key Usage': 4 },
    { keyUsages: ['keyEncipherment'] },
    'apple.scep-payload.key-usage',
    `${A} Key Usage`,
  ),
  payloads({
    id: 'key-usage.2',
    given: 'Key Usage 2',
    text: profile([scepPayload({ 'Key Usage': 2 })]),
    names: 'MCSCEPErrorDomain 22000',
    facts: ['apple.error.22000'],
    source: `${A} Key Usage; A-ERR MCSCEPErrorDomain 22000`,
  }),
  payloads({
    id: 'url',
    given: 'a SCEP payload without a URL',
    text: profile([scepPayload({ URL: undefined })]),
    names: 'MCPayloadErrorDomain 2002',
    facts: ['apple.scep-payload.required'],
    source: A,
  }),
  payloads({
    id: 'key-sizes',
    given: 'Keysize 3072',
    text: profile([scepPayload({ Keysize: 3072 })]),
    names: 'MCPayloadErrorDomain 2004',
    facts: ['apple.scep-payload.key-sizes'],
    source: `${A} Keysize`,
  }),
  payloads({
    id: 'key-type',
    given: 'a Key Type that is not RSA',
    text: profile([scepPayload({ 'Key Type': 'RSA-other' })]),
    names: 'MCPayloadErrorDomain 2004',
    facts: ['apple.scep-payload.key-type'],
    source: `${A} Key Type`,
  }),
  key(
    'retry-delay',
    'Retries 5 and RetryDelay 60',
    { Retries: 5, RetryDelay: 60 },
    { retries: { count: 5, delayMs: 60_000 } },
    'apple.scep-payload.retry-delay',
    `${A} RetryDelay`,
  ),
  key(
    'fingerprint.md5',
    'a CAFingerprint of 16 octets',
    { CAFingerprint: Buffer.alloc(16, 1) },
    { rootThumbprint: '01'.repeat(16) },
    'apple.scep-payload.fingerprint',
    `${A} CAFingerprint`,
  ),
  key(
    'subject',
    'a subject by short name and by OID',
    { Subject: [[['OU', 'a']], [['2.5.4.3', 'b']]] },
    { subject: 'OU=a,CN=b' },
    'apple.scep-payload.subject',
    `${A} Subject`,
  ),
  key(
    'names',
    'alternative names of each type, one of them twice',
    { SubjectAltName: { rfc822Name: ['a@b.example', 'c@b.example'], ntPrincipalName: 'a' } },
    {
      subjectAltNames: [
        { type: 'email', value: 'a@b.example' },
        { type: 'email', value: 'c@b.example' },
        { type: 'upn', value: 'a' },
      ],
    },
    'apple.scep-payload.alternative-names',
    `${A} SubjectAltName`,
  ),
  payloads({
    id: 'misplaced-key',
    given: 'a Challenge beside PayloadContent',
    text: profile([scepPayload({}, { Challenge: 'secret' })]),
    is: { challenge: undefined, urls: ['https://ndes.example/scep'] },
    facts: ['apple.scep-payload.misplaced-keys'],
    source: 'GIST MattRK/5485448',
  }),
]

const wholes: readonly Check[] = [
  payloads({
    id: 'unknown-type',
    given: 'a payload of another type beside the SCEP payload',
    text: profile([payload('com.apple.wifi.managed', 'other', {}), scepPayload()]),
    of: ({ scep, skipped }) => [scep.length, skipped.length],
    is: [1, 1],
    facts: [],
    source: 'A-DM',
  }),
  ...(['PayloadUUID', 'PayloadIdentifier'] as const).map((twice, i) =>
    payloads({
      id: `unique.${twice.slice('Payload'.length).toLowerCase()}`,
      given: `two payloads that share a ${twice}`,
      text: profile([scepPayload(), payload('com.apple.wifi.managed', 'other', { [twice]: i === 0 ? 'UUID-wifi' : 'example.wifi' })]),
      names: `MCProfileErrorDomain 100${7 + i}`,
      facts: ['apple.profile.unique'],
      source: 'A-ERR MCProfileErrorDomain',
    }),
  ),
  payloads({
    id: 'scope',
    on: ['macos'],
    given: 'PayloadScope User',
    text: profile([scepPayload()], { PayloadScope: 'User' }),
    is: { principal: 'user' },
    facts: ['macos.profile.scope'],
    source: 'A-DM TopLevel.yaml',
  }),
]

/** A profile with the target's root, and what is read of it. */
const withRoot = (
  row: Pick<Check, 'id' | 'given' | 'expect' | 'source' | 'facts'>,
  payloadsFor: (root: Buffer) => readonly PlistValue[],
  look: (delivery: ReadDelivery) => unknown,
  is: unknown,
): Check => ({
  ...row,
  on: apple,
  async run(context) {
    const { session } = await context.device()
    same(look(context.read(profile(payloadsFor(Buffer.from(session.root))))), is, 'what is read')
  },
})

const inPem = (der: Buffer): Buffer => Buffer.from(`-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`)
const roots = ({ roots: read }: ReadDelivery): number => read.length

const certificates: readonly Check[] = [
  withRoot(
    {
      id: 'payloads.certificates',
      given: 'a CA certificate in a root payload, one in a pkcs1 payload, and one as PEM',
      expect: 'all three are taken',
      source: 'A-DM com.apple.security.root, com.apple.security.pkcs1, com.apple.security.pem',
      facts: ['apple.certificate-payload.types'],
    },
    (root) =>
      ['root', 'pkcs1', 'pem'].map((type) =>
        payload(`com.apple.security.${type}`, type, { PayloadContent: type === 'pem' ? inPem(root) : root }),
      ),
    roots,
    3,
  ),
  withRoot(
    {
      id: 'payloads.certificates.pem-inside',
      given: 'a root payload with PEM in it',
      expect: 'it is taken',
      source: 'MICROMDM micromdm/scep sceptest.mobileconfig',
      facts: ['apple.certificate-payload.pem-inside'],
    },
    (root) => [payload('com.apple.security.root', 'root', { PayloadContent: inPem(root) })],
    roots,
    1,
  ),
  withRoot(
    {
      id: 'payloads.links',
      given: 'a SCEP payload before the certificate that it refers to by PayloadCertificateUUID',
      expect: 'the certificate is what the request is to lead to',
      source: 'A-DM; SA-DEP iOS log',
      facts: ['apple.profile.links'],
    },
    (root) => [
      scepPayload({}, { PayloadCertificateUUID: 'UUID-root' }),
      payload('com.apple.security.root', 'root', { PayloadContent: root }),
    ],
    ({ scep }) => scep.map(({ rootId }) => rootId),
    ['example.root'],
  ),
]

const wifi: ScepDelivery = {
  id: 'wifi',
  displayName: 'Wi-Fi',
  principal: 'device',
  urls: ['https://ndes.example/scep'],
  subject: 'CN=ada',
  subjectAltNames: [],
}

const loses = (
  id: string,
  setting: keyof ScepDelivery,
  on: Check['on'],
  fact: string,
  own: Partial<ScepDelivery>,
  source: string,
): Check => ({
  id: `payloads.${id}`,
  on,
  given: `a delivery with ${setting}, for a payload that has no place for it`,
  expect: 'that is told',
  source,
  facts: [fact],
  async run({ os }) {
    const { lost } = renderMobileconfig({ deviceId: 'device-1', roots: [], scep: [{ ...wifi, ...own }], pfx: [] }, os)
    same(
      lost.map((one) => [one.setting, one.reason.includes(fact)]),
      [[setting, true]],
      'what is lost',
    )
  },
})

/** What Apple systems take of a configuration profile. */
export const payloadChecks: readonly Check[] = [
  ...keys,
  ...wholes,
  ...certificates,
  loses(
    'no-key-usage',
    'keyUsages',
    ['macos-10.9'],
    'macos.scep-payload.no-key-usage',
    { keyUsages: ['digitalSignature'] },
    `${A} Key Usage`,
  ),
  loses(
    'no-retries',
    'retries',
    ['macos-10.9'],
    'macos.scep-payload.no-retries',
    { retries: { count: 3, delayMs: 10_000 } },
    `${A} Retries`,
  ),
  {
    id: 'payloads.entities',
    on: apple,
    given: 'a profile that declares an entity',
    expect: 'it is refused as a malformed profile',
    source: 'A-ERR MCProfileErrorDomain',
    async run({ read }) {
      const text = profile([scepPayload()]).replace(/<!DOCTYPE[^>]*>|(?<=\?>)/, '<!DOCTYPE plist [<!ENTITY a "b">]>')
      refusedNaming('MCProfileErrorDomain 1000', () => read(text))
    },
  },
]
