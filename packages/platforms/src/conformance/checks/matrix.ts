import type { SubjectAltName } from '@certfleet/agent-core'
import { formatName, publicKeyOf, readSubjectAltNames } from '@certfleet/agent-core/pki'
import { type Check, holdsTrue, type SystemUnderTest, same } from '../check.ts'
import type { CheckContext } from '../context.ts'
import { assigned, dayMs, enrolled, type ScepProfileDocument, statusOf } from '../documents.ts'
import type { TargetSetup } from '../target.ts'
import { pkiMessages } from '../wire.ts'

/** The five columns of Microsoft's test matrix for CSR validation. */
const columns: readonly SystemUnderTest[] = ['windows', 'ios', 'macos', 'android', 'android-enterprise']
const source = 'IRA doc/TestMatrix.csv'

type Row = Pick<Check, 'id' | 'given' | 'expect'> & Partial<Pick<Check, 'notOn' | 'on' | 'facts' | 'needs'>> & Pick<Check, 'run'>

const scenario = ({ id, ...row }: Row): Check => ({ on: columns, source, ...row, id: `matrix.${id}` })

const subject = (id: string, text: string, facts: readonly string[] = []): Check =>
  scenario({
    id: `subject.${id}`,
    given: `a profile with the subject ${text}`,
    expect: 'the certificate has that subject',
    facts,
    async run(context) {
      const { leaf } = await enrolled(context, { scep: { subject: text } })
      same(formatName(leaf.subject).replaceAll(', ', ','), text, 'subject')
    },
  })

const formats = ['subject-format.honoured', 'subject-format.apple-not-offered', 'subject.formats']

const email: SubjectAltName = { type: 'email', value: 'ada@contoso.example' }
const upn: SubjectAltName = { type: 'upn', value: 'ada@corp.contoso.example' }

const names = (id: string, subjectAltNames: readonly SubjectAltName[]): Check =>
  scenario({
    id: `san.${id}`,
    given: `a profile with the alternative names ${subjectAltNames.map(({ type }) => type).join(' and ')}`,
    expect: 'the certificate has those names',
    facts: ['subject-alt-names.honoured'],
    async run(context) {
      const { leaf } = await enrolled(context, { scep: { subjectAltNames: [...subjectAltNames] } })
      same(readSubjectAltNames(leaf), subjectAltNames, 'alternative names')
    },
  })

const usages = (id: string, keyUsages: ScepProfileDocument['keyUsages']): Check =>
  scenario({
    id: `key-usage.${id}`,
    given: `a profile with the key usage ${keyUsages.join(' and ')}`,
    expect: 'the certificate has that key usage',
    facts: ['key-usage.honoured'],
    async run(context) {
      const { leaf } = await enrolled(context, { scep: { keyUsages } })
      same([...(leaf.keyUsage ?? [])].sort(), [...keyUsages].sort(), 'key usages')
    },
  })

const size = (keyBits: 1024 | 2048): Check =>
  scenario({
    id: `key-size.${keyBits}`,
    given: `a profile with a key size of ${keyBits}`,
    expect: 'the certificate is for a key of that size',
    facts: ['key-size.any'],
    async run(context) {
      const { leaf } = await enrolled(context, { scep: { keyBits } })
      same(publicKeyOf(leaf).asymmetricKeyDetails?.modulusLength, keyBits, 'bits of the key')
    },
  })

const noHash = 'the SCEP payload has no hash setting, and the matrix has N/A here'
const hashless = { ios: noHash, macos: noHash } as const
const hashing: readonly SystemUnderTest[] = ['windows', 'android', 'android-enterprise']
/** What a message is signed over that a profile asks SHA-2 of; on Android the strongest that the CA offers, whatever the profile says. */
const signedOver = { windows: 'sha256', android: 'sha512' } as const

const hash = (id: string, given: string, run: (context: CheckContext) => Promise<void>, facts: readonly string[] = []): Check =>
  scenario({ id: `hash.${id}`, on: hashing, notOn: hashless, given, expect: 'the request is signed over SHA-2', run, facts })

const sha2 = (id: string, given: string): readonly Check[] => {
  const signs = (platform: keyof typeof signedOver) => async (context: CheckContext) => {
    const { device } = await enrolled(context, { scep: { hash: 'sha256' } })
    same(
      pkiMessages(device).map((message) => message.hash),
      [signedOver[platform]],
      'digests',
    )
  }
  return [
    { ...hash(id, given, signs('windows'), ['hash.honoured']), on: ['windows'] },
    { ...hash(id, given, signs('android'), ['android.scep.digest']), on: ['android', 'android-enterprise'], notOn: {} },
  ]
}

const purposes = (id: string, oid: string, facts: readonly string[]): Check =>
  scenario({
    id: `eku.${id}`,
    given: `a profile with the extended key usage ${oid}`,
    expect: 'the certificate has that extended key usage and no other',
    facts,
    async run(context) {
      const { leaf } = await enrolled(context, { scep: { extendedKeyUsages: [oid] } })
      same(leaf.extendedKeyUsage, [oid], 'extended key usages')
    },
  })

const refusing = (id: string, refused: NonNullable<TargetSetup['refusing']>, given: string): Check =>
  scenario({
    id: `refusal.${id}`,
    given,
    expect: 'the device gets no certificate, and the profile has failed',
    needs: ['issued'],
    async run(context) {
      const device = await assigned(context, { setup: { refusing: refused } })
      const { state } = statusOf(await device.checkIn())
      same(state, refused === 'challenge' ? 'issueFailed' : 'requestSubmitFailed', 'the profile')
      same((await device.identities.list()).length, 0, 'identities on the device')
      // What was issued before the service broke down stays with the server.
      same(device.session.issued?.().length, refused === 'notification' ? 1 : 0, 'certificates issued')
    },
  })

/** Microsoft's matrix for those who write SCEP servers: 25 scenarios on five systems, in our words. */
export const matrixChecks: readonly Check[] = [
  scenario({
    id: 'validity',
    given: 'a profile with a validity of 30 days, at a CA that honours it',
    expect: 'the certificate has it; on Apple systems it has that of the template',
    facts: ['validity.requested', 'validity.apple-template'],
    async run(context) {
      const { leaf } = await enrolled(context, { setup: { attributeEndDate: true, templateDays: 365 } })
      const isApple = context.os.platform === 'ios' || context.os.platform === 'macos'
      same((leaf.notAfter - leaf.notBefore) / dayMs, isApple ? 365 : 30, 'days of validity')
    },
  }),
  subject('common-name', 'CN=ada', formats),
  subject('common-name-and-email', 'CN=ada,E=ada@contoso.example', formats),
  subject('email', 'CN=ada@contoso.example'),
  subject('imei', 'CN=004401001234567'),
  subject('serial-number', 'CN=F2LXK0CONTSO'),
  subject('custom', 'CN=ada,OU=Research,O=Contoso,L=Turin,C=IT', ['ca.template-subject']),
  names('email', [email]),
  names('upn', [upn]),
  names('email-and-upn', [email, upn]),
  usages('signature', ['digitalSignature']),
  usages('encipherment', ['keyEncipherment']),
  usages('both', ['digitalSignature', 'keyEncipherment']),
  size(1024),
  size(2048),
  hash('sha1', 'a profile that names SHA-1, which policies no longer carry', async (context) => {
    const { device } = await enrolled(context)
    same(
      pkiMessages(device).map((message) => message.hash !== 'sha1'),
      [true],
      'no request over SHA-1',
    )
  }),
  ...sha2('sha2', 'a profile that asks for SHA-2'),
  ...sha2('sha1-and-sha2', 'a profile that lists SHA-1 and SHA-2'),
  purposes('client-authentication', '1.3.6.1.5.5.7.3.2', []),
  purposes('ipsec-tunnel', '1.3.6.1.5.5.7.3.6', ['extended-key-usage.honoured']),
  scenario({
    id: 'renewal',
    given: 'a short validity and a threshold',
    expect: 'the device renews, and the service knows of both certificates',
    needs: ['advance', 'issued'],
    async run(context) {
      const { device, leaf } = await enrolled(context, { setup: { templateDays: 5 } })
      const { clock, advance, issued } = device.session
      await advance?.(leaf.notBefore + 4.1 * dayMs - clock.now())
      const { serialNumber } = statusOf(await device.checkIn())
      const known = issued?.().map((certificate) => certificate.serialNumber) ?? []
      same(known.length, 2, 'certificates issued')
      holdsTrue(serialNumber !== Buffer.from(leaf.serialNumber).toString('hex'), 'the certificate was not renewed')
      holdsTrue(known.includes(serialNumber ?? ''), 'the renewed certificate is none that was issued')
    },
  }),
  refusing('challenge', 'challenge', 'a service that finds the challenge wrong'),
  refusing('validation-down', 'validation', 'a service that breaks down while it validates the request'),
  refusing('notification-down', 'notification', 'a service that breaks down when it is told of the certificate'),
  refusing('sign-in', 'sign-in', 'a server that cannot sign in to the service; that the matrix has it issue is taken for a slip'),
]

/** Names that Microsoft asks for elsewhere. */
export const subjectChecks: readonly Check[] = [
  {
    ...names('sid', [{ type: 'uri', value: 'tag:microsoft.com,2022-09-14:sid:S-1-5-21-1004336348-1177238915-682003330-1104' }]),
    id: 'subjects.sid',
    on: ['ios', 'macos', 'windows'],
    given: "a user's profile with the security identifier as a URI name",
    source: 'M-SCEP strong mapping',
    facts: ['subject.sid'],
  },
  {
    ...names('all', [email, upn, { type: 'dns', value: 'pc-1.contoso.example' }, { type: 'uri', value: 'https://contoso.example/pc-1' }]),
    id: 'subjects.san-types',
    on: ['ios', 'macos', 'android', 'windows'],
    source: 'M-SCEP Subject alternative name; A-DM com.apple.security.scep SubjectAltName',
    facts: ['subject.alt-name-types', 'subject-alt-names.honoured'],
  },
]
