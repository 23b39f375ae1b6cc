import { type KeySpec, softwareKeys } from '@certfleet/agent-core'
import { PurposeOid, parseCertificate } from '@certfleet/agent-core/pki'
import { type CertificateTemplate, defaultTemplateName } from '@certfleet/emulator/lab'
import t from 'tap'
import { openAccounts } from '#emulator/lab/ca/accounts.ts'
import { openTemplates } from '#emulator/lab/ca/templates.ts'
import { testKey } from '../fakes/certificates.ts'
import { type CaOptions, day, openCa, settlementFor, template } from './ca-world.ts'
import { challengeFor, csrFor, enroll, enrolled, exchange, policyWith, register, startLab, wifi } from './surroundings.ts'

t.test('ca.template-subject: a template that cannot be is named when the lab opens', async (t) => {
  const rows: [string, Partial<CertificateTemplate>, RegExp | undefined][] = [
    ['as it is', {}, undefined],
    ['a name of 64 characters', { name: 'x'.repeat(64) }, undefined],
    ['a name of 65', { name: 'x'.repeat(65) }, /its name/],
    ['no name', { name: '' }, /its name/],
    ['a name that is not ASCII (CM-CP)', { name: 'Gerät' }, /its name/],
    ['the built-in one again', { name: defaultTemplateName }, /two of that name/],
    ['the built-in one in capitals', { name: defaultTemplateName.toUpperCase() }, /two of that name/],
    ['a subject from the directory', { subject: 'from-directory' as never }, /S48/],
    ['no validity', { validityMs: 0 }, /validity/],
    ['a millisecond less than a second', { validityMs: 999, renewalPeriodMs: 0 }, /validity/],
    ['a second', { validityMs: 1000, renewalPeriodMs: 999 }, undefined],
    ['100 years', { validityMs: 36_500 * day }, undefined],
    ['more', { validityMs: 36_500 * day + 1 }, /validity/],
    ['a validity that is no number', { validityMs: Number.NaN }, /validity/],
    ['renewal a millisecond after it begins', { renewalPeriodMs: 100 * day - 1 }, undefined],
    ['renewal as it begins', { renewalPeriodMs: 100 * day }, /renewal period/],
    ['renewal at its end', { renewalPeriodMs: 0 }, undefined],
    ['renewal after it ends', { renewalPeriodMs: -1 }, /renewal period/],
    ['keys of 1024 bits', { minKeyBits: 1024 }, undefined],
    ['of 1023', { minKeyBits: 1023 }, /key size/],
    ['of 8192', { minKeyBits: 8192 }, undefined],
    ['of 8193', { minKeyBits: 8193 }, /key size/],
    ['no application policy', { applicationPolicies: [] }, /application policies/],
    ['one that is no OID', { applicationPolicies: ['client authentication'] }, /application policies/],
    ['no key usage', { keyUsages: [] }, /key usages/],
    ['a CA', { keyUsages: ['keyCertSign' as never] }, /key usages/],
    ['nonRepudiation by the back door', { keyUsages: ['nonRepudiation' as never] }, /key usages/],
    ['what every object has', { keyUsages: ['toString' as never] }, /key usages/],
  ]
  for (const [name, other, message] of rows) {
    const open = () => openTemplates([template('Device', other)], 365 * day)
    if (message) t.throws(open, { code: 'ERR_POLICY_INVALID', message }, name)
    else t.doesNotThrow(open, name)
  }
  t.throws(() => openTemplates([template('a'), template('A')], day), { code: 'ERR_POLICY_INVALID', message: /"A"/ })
  await t.rejects(startLab({ templates: [template('a', { validityMs: 0 })] }), { code: 'ERR_POLICY_INVALID' })
  await t.rejects(startLab({ templateValidityMs: 0 }), { code: 'ERR_POLICY_INVALID' }, 'the built-in one too')
  await t.rejects(
    startLab({
      accounts: [
        { name: 'a', issueAndManage: true },
        { name: 'a', issueAndManage: false },
      ],
    }),
    { code: 'ERR_POLICY_INVALID' },
  )
  t.same(
    (await startLab({ templates: [template('Mine')] })).lab.templates().map(({ name }) => name),
    [defaultTemplateName, 'Mine'],
  )
})

t.test('the built-in template renews six weeks before the end, or in the last fifth', (t) => {
  const rows: [name: string, validityMs: number, renewalPeriodMs: number][] = [
    ['a year', 365 * day, 42 * day],
    ['30 weeks', 210 * day, 42 * day],
    ['a millisecond less', 210 * day - 1, 42 * day - 1],
    ['a second', 1000, 200],
  ]
  for (const [name, validityMs, renewalPeriodMs] of rows)
    t.match(openTemplates([], validityMs).list(), [{ name: defaultTemplateName, validityMs, renewalPeriodMs }], name)
  t.end()
})

const asIssued = async (by: Partial<CertificateTemplate>, grant: Parameters<typeof settlementFor>[2] = {}) => {
  const { settle } = await openCa({ templates: [template('Device', by)] })
  const settled = await settle({ ...settlementFor('T', (await testKey('a')).publicKey, grant), template: 'device' })
  if (settled.status !== 'issued') throw new Error(JSON.stringify(settled))
  const { keyUsage, extendedKeyUsage, notBefore, notAfter } = parseCertificate(settled.certificate)
  return { usages: [...(keyUsage ?? [])], purposes: extendedKeyUsage, days: (notAfter - notBefore) / day }
}

t.test('ca.template-purpose: what the template says stands in the certificate; where it is silent, what was validated', async (t) => {
  const both = ['digitalSignature', 'keyEncipherment'] as const
  const { EmailProtection, ClientAuth, ServerAuth } = PurposeOid
  const none = { keyUsages: [], extendedKeyUsages: [] }
  const asked = { keyUsages: ['digitalSignature'], extendedKeyUsages: [EmailProtection] } as const
  t.same(await asIssued({}, none), { usages: both, purposes: [ClientAuth], days: 100 })
  t.same(await asIssued({}, asked), { usages: ['digitalSignature'], purposes: [EmailProtection], days: 100 })
  const given = {
    applicationPolicies: [ServerAuth, ClientAuth],
    keyUsages: ['keyEncipherment'],
    validityMs: 2 * day,
    renewalPeriodMs: 0,
  } as const
  t.same(await asIssued(given, asked), { usages: ['keyEncipherment'], purposes: [ServerAuth, ClientAuth], days: 2 })
  t.same((await asIssued({ signatureIsProofOfOrigin: true }, asked)).usages, ['digitalSignature', 'nonRepudiation'], 'S49')
})

t.test('ca.longest-validity: no certificate outlives its CA', async (t) => {
  const { settle, authorities } = await openCa({ templates: [template('Device', { validityMs: 36_500 * day })] })
  const settled = await settle({ ...settlementFor('T', (await testKey('a')).publicKey), template: 'Device' })
  const { notAfter } = parseCertificate(settled.status === 'issued' ? settled.certificate : new Uint8Array())
  t.equal(notAfter, authorities.present().issuing.certificate.notAfter)
})

const unsupported = 0x80094800
const tooShort = 0x80094811
const templateDenied = 0x80094012
const enrollDenied = 0x80094011

t.test('ca.template-enroll, ndes.key-length: what the CA refuses, and by which HRESULT', async (t) => {
  const keys = softwareKeys()
  const specs = new Map<string, KeySpec>([
    ['RSA-1024', { algorithm: 'rsa', bits: 1024 }],
    ['RSA-2048', { algorithm: 'rsa', bits: 2048 }],
    ['P-256', { algorithm: 'ec', curve: 'P-256' }],
    ['P-384', { algorithm: 'ec', curve: 'P-384' }],
  ])
  const publicKey = async (name: string) => ((await keys.open(name)) ?? (await keys.generate(specs.get(name) as KeySpec, name))).publicKey
  const templates = [
    template('Device'),
    template('Strong', { minKeyBits: 3072 }),
    template('Stronger', { minKeyBits: 3073 }),
    template('Draft', { published: false }),
  ]
  const rows: [string, { template?: string; account?: string }, string, number | undefined, CaOptions?][] = [
    ['the built-in template, by NDES', {}, 'RSA-1024', undefined],
    ['the built-in template, by the connector', { account: 'connector' }, 'RSA-2048', undefined],
    ['a template by its name', { template: 'Device' }, 'RSA-2048', undefined],
    ['a template by its display name (S55)', { template: 'Device, as shown' }, 'RSA-2048', unsupported],
    ['a template that is not there', { template: 'User' }, 'RSA-2048', unsupported],
    ['a template that is not published', { template: 'Draft' }, 'RSA-2048', unsupported],
    ['no Enroll', { template: 'Device', account: 'connector' }, 'RSA-2048', templateDenied],
    ['nobody', { account: 'nobody' }, 'RSA-2048', enrollDenied],
    [
      'no Request Certificates (S53)',
      {},
      'RSA-2048',
      enrollDenied,
      { accounts: [{ name: 'ndes', issueAndManage: true, requestCertificates: false }] },
    ],
    ['a key one size too short', { template: 'Device' }, 'RSA-1024', tooShort],
    ['P-256 for RSA-3072', { template: 'Strong' }, 'P-256', undefined],
    ['RSA-2048 for RSA-3072', { template: 'Strong' }, 'RSA-2048', tooShort],
    ['P-256 for a bit more', { template: 'Stronger' }, 'P-256', tooShort],
    ['P-384 for a bit more', { template: 'Stronger' }, 'P-384', undefined],
  ]
  for (const [name, by, key, hresult, options] of rows) {
    const { settle, store } = await openCa({ templates, ...options })
    const settled = await settle({ ...settlementFor('T', await publicKey(key)), ...by })
    t.match(settled, hresult === undefined ? { status: 'issued' } : { status: 'refused', failInfo: 'badRequest', hresult }, name)
    t.equal([...store.list('issued')].length, hresult === undefined ? 1 : 0)
  }
})

t.test('what a transaction was asked for by stays with it', async (t) => {
  const { all, store } = await openCa({ templates: [template('Device'), template('Other')] })
  const { settle } = await import('#emulator/lab/issuance.ts')
  const settlement = { ...settlementFor('T', (await testKey('a')).publicKey), template: 'Device', account: 'ndes' }
  t.match(await settle(settlement, { ...all, approve: () => 'pending' }), { status: 'pending' })
  const [transaction] = [...store.list('transactions')]
  t.match(transaction, { template: 'Device', account: 'ndes' })
  if (transaction) t.match(await settle({ transaction, template: 'Other' }, all), { status: 'issued' })
  t.match([...store.list('issued')], [{ template: 'Device' }])
})

t.test('a template that was withdrawn meanwhile issues nothing', async (t) => {
  const { all, store } = await openCa({ templates: [template('Device')] })
  const { settle } = await import('#emulator/lab/issuance.ts')
  await settle({ ...settlementFor('T', (await testKey('a')).publicKey), template: 'Device' }, { ...all, approve: () => 'pending' })
  const without = await openCa({ store })
  const [transaction] = [...store.list('transactions')]
  if (transaction) t.match(await without.settle({ transaction }), { status: 'refused', hresult: unsupported })
})

t.test('apple.proof-of-origin, ndes.template-name: the registry leads to the template; the audit says what was wrong', async (t) => {
  const sign: typeof wifi = { ...wifi, id: 'sign', keyUsages: ['digitalSignature'] }
  const { lab, policies } = await startLab({ templates: [template('Origin', { signatureIsProofOfOrigin: true })], ndesFailures: true })
  policies.set('device-1', policyWith(wifi, sign))
  policies.set('device-2', { ...policyWith(sign), deviceId: 'device-2' })
  const [windows, mac] = [await register(lab), await register(lab, 'device-2', 'macOS')]
  const ask = async (credential: string, label: string) => ({
    key: await testKey(label),
    keyUsages: sign.keyUsages,
    challenge: await challengeFor(lab, credential, label, 'sign'),
  })
  await lab.ndes.setRegistry({ SignatureTemplate: 'Origin' })
  await lab.ndes.restartIis()
  const usages = parseCertificate(await enrolled(lab, await ask(windows, 'a'))).keyUsage
  t.same([...(usages ?? [])], ['digitalSignature', 'nonRepudiation'])
  t.equal(lab.audit().at(-1)?.detail, undefined)
  await enrolled(lab, await ask(mac, 'b'))
  t.match(lab.audit().at(-1), { event: 'issued', detail: /^warning: .*"Origin".*macOS.*S49/ })

  await lab.ndes.setRegistry({ SignatureTemplate: 'Origin, as shown' })
  await lab.ndes.restartIis()
  const asked = await ask(windows, 'c')
  const reply = await exchange(lab, { key: asked.key, content: await csrFor(asked) })
  t.match(reply, { status: 'failure', failInfo: 'badRequest' })
  t.match(lab.audit().at(-1), { event: 'refused', hresult: unsupported, detail: /"Origin, as shown"/ })
  t.equal(await enroll(lab, await ask(windows, 'c')), 'badRequest')
})

t.test('Issue and Manage Certificates, for all templates or for some', async (t) => {
  const { mayManage, mayRequest } = openAccounts([
    { name: 'connector', issueAndManage: false },
    { name: 'helpdesk', issueAndManage: ['Device'], requestCertificates: false },
  ])
  const rows: [string, string, boolean, boolean][] = [
    ['ndes', 'Device', true, true],
    ['connector', 'Device', false, true],
    ['helpdesk', 'Device', true, false],
    ['helpdesk', 'DEVICE', true, false],
    ['helpdesk', 'User', false, false],
    ['nobody', 'Device', false, false],
  ]
  for (const [account, name, manages, requests] of rows) {
    t.equal(mayManage(account, name), manages, `${account} manages ${name}`)
    t.equal(mayRequest(account), requests, `${account} requests`)
  }
})
