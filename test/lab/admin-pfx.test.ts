import { createHash, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { AgentError, softwareKeyHandle } from '@certfleet/agent-core'
import { buildPfx, type PfxContents } from '@certfleet/agent-core/pfx'
import { encryptPfxPassword, type LabTables } from '@certfleet/emulator/lab'
import t from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { type Admin, allDevices, configurations, example, type Json, startAdmin } from './admin-world.ts'
import { agentAt, ask, imported, opened, opensslPkcs12, registered, startPfxLab } from './connector-world.ts'
import { jsonOf, policyWith, post, start } from './surroundings.ts'

const files = 'deviceManagement/userPfxCertificates'
const ada = 'ada@contoso.example'
const day = 86_400_000

const ca = { subject: 'CN=Mail CA', key: await testKey('mail-ca') }
const caCertificate = await testCertificate({ ...ca, ca: true })
const privateKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const handle = softwareKeyHandle(privateKey, 'ada')
const password = 'p\u00e4ssword-canary'

const certificateOf = (subject: string) =>
  testCertificate({ subject, key: handle, issuer: ca, notBefore: start - day, notAfter: start + 300 * day })

async function pfxOf(subject = 'CN=Ada', own: Partial<PfxContents> = {}, key: KeyObject = privateKey): Promise<Uint8Array> {
  return buildPfx({ privateKey: key, certificates: [await certificateOf(subject), caCertificate], password, iterations: 2_000, ...own })
}

const made = await pfxOf()
const thumbprint = createHash('sha1')
  .update(await certificateOf('CN=Ada'))
  .digest('hex')
  .toUpperCase()

async function keyOf({ ask }: Admin): Promise<Json> {
  return (await ask('GET', 'deviceManagement/certificateConnectorDetails')).value[0]['@certfleet.pfxImport']
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')

/** What an importer posts. */
async function bodyOf(admin: Admin, own: Json = {}, padding: 'oaepSha256' | 'oaepSha512' = 'oaepSha512'): Promise<Json> {
  const { providerName, keyName, publicKey } = await keyOf(admin)
  return {
    ...{ userPrincipalName: ada, intendedPurpose: 'smimeEncryption', providerName, keyName, paddingScheme: padding },
    encryptedPfxBlob: base64(made),
    encryptedPfxPassword: base64(encryptPfxPassword(password, { publicKey: Buffer.from(publicKey, 'base64') }, padding)),
    ...own,
  }
}

t.test('imported over the API, told, deleted; the password is never given back', async (t) => {
  const admin = await startAdmin()
  const before = admin.changes()
  const dates = { startDateTime: new Date(start - day).toISOString(), expirationDateTime: new Date(start + 300 * day).toISOString() }
  const said = { '@odata.type': '#microsoft.graph.userPFXCertificate', thumbprint: thumbprint.toLowerCase(), ...dates }
  const created = await admin.ask('POST', files, await bodyOf(admin, said))
  t.match(created, { userPrincipalName: ada, intendedPurpose: 'smimeEncryption', thumbprint, ...dates, paddingScheme: 'oaepSha512' })
  t.match(created, { encryptedPfxBlob: null, encryptedPfxPassword: null, createdDateTime: new Date(start).toISOString() })
  t.equal(admin.changes(), before + 1, 'the lab was told')
  t.match((await admin.ask('GET', files)).value, [{ id: created.id, thumbprint }])
  t.match(await admin.ask('GET', `${files}/${created.id}`), { id: created.id, keyName: (await keyOf(admin)).keyName })
  t.match(
    await admin.refused('POST', files, await bodyOf(admin)),
    /^409 Conflict: certificate [0-9A-F]{40} is imported for ada@contoso.example already$/,
  )
  const other = await admin.ask('POST', files, await bodyOf(admin, { userPrincipalName: 'bob@contoso.example' }, 'oaepSha256'))
  t.match(other, { paddingScheme: 'oaepSha256' }, 'another user may have the same')
  t.equal((await admin.send('DELETE', `${files}/${created.id}`)).status, 204)
  t.match(await admin.refused('DELETE', `${files}/${created.id}`), /^404 ResourceNotFound: no PFX certificate/)
  t.match((await admin.ask('GET', files)).value, [{ id: other.id }])
  t.same(
    admin.lab
      .audit()
      .filter(({ event }) => event.startsWith('pfx'))
      .map(({ event, detail }) => `${event} ${detail}`),
    [
      `pfx-imported ${thumbprint} of ${ada} for smimeEncryption`,
      `pfx-imported ${thumbprint} of bob@contoso.example for smimeEncryption`,
      `pfx-removed ${thumbprint} of ${ada}`,
    ],
  )
  const tables: readonly (keyof LabTables)[] = ['importedPfx', 'importedPfxOf', 'audit', 'adminChanges']
  t.notMatch(JSON.stringify(tables.flatMap((table) => [...admin.store.list(table)])), /canary/)
  t.equal((await admin.send('GET', files, undefined, {})).status, 401)
})

t.test('what cannot be delivered is refused at the import, by name', async (t) => {
  const admin = await startAdmin()
  const { publicKey } = await keyOf(admin)
  const encrypted = (text: string) => base64(encryptPfxPassword(text, { publicKey: Buffer.from(publicKey, 'base64') }))
  const two = await pfxOf('CN=Ada', { certificates: [await certificateOf('CN=Ada')] })
  const rows: readonly (readonly [name: string, own: Json, message: RegExp])[] = [
    [
      'another password',
      { encryptedPfxPassword: encrypted('canary') },
      /encryptedPfxPassword: the password is wrong, or the file was changed$/,
    ],
    ['encrypted to nobody', { encryptedPfxPassword: base64(randomBytes(256)) }, /encryptedPfxPassword: the password does not decrypt/],
    ['too short to be encrypted', { encryptedPfxPassword: 'YQ==' }, /encryptedPfxPassword: the password does not decrypt/],
    ['not the padding it says', { paddingScheme: 'oaepSha256' }, /encryptedPfxPassword: the password does not decrypt/],
    ['no such padding', { paddingScheme: 'pkcs1' }, /paddingScheme: expected one of oaepSha512, oaepSha256/],
    ['not a PFX', { encryptedPfxBlob: base64(randomBytes(100)) }, /encryptedPfxBlob: the PFX cannot be read/],
    ['cut off', { encryptedPfxBlob: base64(two.subarray(0, 900)) }, /encryptedPfxBlob: the PFX cannot be read/],
    ['not base64', { encryptedPfxBlob: '*' }, /encryptedPfxBlob: expected base64/],
    ['too large', { encryptedPfxBlob: base64(new Uint8Array(600_000)) }, /encryptedPfxBlob: expected at most 700000 characters/],
    ['another key', { keyName: 'other' }, /keyName: expected "pfx-import-[0-9a-f]{16}"/],
    ['another provider', { providerName: 'Microsoft Software Key Storage Provider' }, /providerName: expected "certfleet lab connector"/],
    ['no user', { userPrincipalName: 'ada' }, /userPrincipalName: expected name@domain/],
    ['no such purpose', { intendedPurpose: 'fun' }, /intendedPurpose: expected one of unassigned/],
    ['another thumbprint', { thumbprint: '0'.repeat(40) }, new RegExp(`thumbprint: expected ${thumbprint}`)],
    ['another end', { expirationDateTime: '2030-01-01T00:00:00Z' }, /expirationDateTime: expected 2027/],
    ['more than is read', { password: 'canary' }, /password: no such member is read here/],
  ]
  for (const [name, own, message] of rows) {
    const refused = await admin.refused('POST', files, await bodyOf(admin, own))
    t.match(refused, message, name)
    t.match(refused, /^400 /, name)
    t.notMatch(refused, /canary/)
  }
  t.same((await admin.ask('GET', files)).value, [])
  t.equal((await admin.send('POST', files, Buffer.alloc(1024 * 1024 + 1))).status, 413)
})

t.test('a file of the user for the purpose, the newest first, as each OS reads it', async (t) => {
  const world = await startPfxLab([
    imported(),
    imported({ profileId: 'sign', intendedPurpose: 'smimeSigning' }),
    imported({ profileId: 'bobs', userPrincipalName: 'bob@contoso.example' }),
  ])
  const { lab } = world
  const credential = await registered(lab)
  const add = async (subject: string, own: Partial<PfxContents> = {}, purpose: 'smimeEncryption' | 'smimeSigning' = 'smimeEncryption') => {
    const encryptedPassword = encryptPfxPassword(password, await lab.importedPfx.key())
    const pfx = await pfxOf(subject, own)
    const whose = { userPrincipalName: 'Ada@Contoso.example', intendedPurpose: purpose, paddingScheme: 'oaepSha512' } as const
    return lab.importedPfx.add({ ...whose, pfx, encryptedPassword })
  }
  const fingerprint = () => lab.importedPfx.revision(ada, 'smimeEncryption')
  t.equal((await ask(lab, credential, 'a', 'smime')).status, 404, 'nothing is there yet')
  t.equal(fingerprint(), undefined)
  const old = await add('CN=Ada')
  t.equal(fingerprint(), old.fingerprint, 'a user principal name has no case')
  const delivered = async (attemptId: string, profileId = 'smime', of = credential) => opened(await ask(lab, of, attemptId, profileId))
  const first = await delivered('a')
  t.equal(first.secret, privateKey.export({ format: 'jwk' }).d, 'the very key')
  t.same(
    first.chain.map((der) => base64(der)),
    [base64(caCertificate)],
  )
  t.not(first.password, password, 'under a password of its own')
  await world.clock.advance(1)
  const newer = await add('CN=Ada the newer', { algorithms: 'legacy' })
  t.equal(fingerprint(), newer.fingerprint)
  const second = await delivered('b')
  t.notSame(second.certificate.raw, first.certificate.raw)
  t.match(opensslPkcs12(t, second.bytes, second.password), /PRIVATE KEY/, 'what came in 3DES leaves in PBES2')
  t.equal((await ask(lab, credential, 'c', 'sign')).status, 404, 'nothing for that purpose')
  t.equal((await ask(lab, credential, 'd', 'bobs')).status, 404, 'nothing of that user')
  await add('CN=Ada signs', {}, 'smimeSigning')
  t.equal(fingerprint(), newer.fingerprint, 'of another purpose')
  t.equal((await ask(lab, credential, 'c', 'sign')).status, 200)
  const rows = [
    ['an Apple', 'ios', '17.4', 0, []],
    ['an old Android', 'android', '9', 1, ['-legacy']],
  ] as const
  for (const [name, platform, osVersion, issuers, options] of rows) {
    world.requests.set(platform, [imported()])
    const other = await registered(lab, { deviceId: platform, platform, osVersion })
    const { bytes, password: own, chain } = await delivered('a', 'smime', other)
    t.equal(chain.length, issuers, name)
    t.match(opensslPkcs12(t, bytes, own, ...options), /PRIVATE KEY/, name)
  }
  await lab.importedPfx.remove(newer.id)
  t.equal(fingerprint(), old.fingerprint, 'then the one before counts again')
  t.same([...lab.issued()], [], 'none of it was issued here')
})

t.test('whose user has another file is woken, and nobody else', async (t) => {
  const keys: (string | undefined)[] = []
  const world = await startPfxLab([imported()], {
    makeKey: async (_bits, deviceId) => {
      keys.push(deviceId)
      return privateKey
    },
  })
  const { lab, policies } = world
  world.requests.set('device-2', [imported({ userPrincipalName: 'bob@contoso.example' })])
  const heard: string[] = []
  for (const deviceId of ['device-1', 'device-2']) {
    const authorization = `Bearer ${await registered(lab, { deviceId })}`
    lab.connectPush({ authorization }, { send: () => heard.push(deviceId), close: () => {} })
    policies.set(deviceId, { ...policyWith(), deviceId })
  }
  const atFirst = keys.length
  const encryptedPassword = encryptPfxPassword(password, await lab.importedPfx.key())
  t.same(keys.slice(atFirst), [undefined], 'the key for passwords comes from where it is told')
  const asked = { userPrincipalName: 'Ada@contoso.example', intendedPurpose: 'smimeEncryption', paddingScheme: 'oaepSha512' } as const
  await lab.importedPfx.add({ ...asked, pfx: await pfxOf('CN=Ada'), encryptedPassword })
  t.same(heard, ['device-1'])
})

t.test('a hundred files a user, and no more', async (t) => {
  const { lab, store } = await startPfxLab([])
  const encryptedPassword = encryptPfxPassword(password, await lab.importedPfx.key())
  const asked = { userPrincipalName: ada, intendedPurpose: 'vpn', paddingScheme: 'oaepSha512', encryptedPassword } as const
  const first = await lab.importedPfx.add({ ...asked, pfx: made })
  const key = createHash('sha256').update(ada).digest('hex')
  await store.transaction((tx) => tx.put('importedPfxOf', key, Array(99).fill(first.id)))
  await lab.importedPfx.add({ ...asked, pfx: await pfxOf('CN=99') })
  await t.rejects(lab.importedPfx.add({ ...asked, pfx: await pfxOf('CN=100') }), {
    code: 'ERR_UNSUPPORTED',
    message: /has 100 imported PFX/,
  })
  t.throws(() => encryptPfxPassword('a'.repeat(127), { publicKey: new Uint8Array(9) }), AgentError)
})

t.test('the real agent has what the user has, and the newer once it is imported', async (t) => {
  const world = await startPfxLab([imported({ profileId: 'mail' })])
  const { lab, policies, clock } = world
  const add = async (subject: string) => {
    const encryptedPassword = encryptPfxPassword(password, await lab.importedPfx.key())
    const whose = { userPrincipalName: ada, intendedPurpose: 'smimeEncryption', paddingScheme: 'oaepSha512' } as const
    return lab.importedPfx.add({ ...whose, pfx: await pfxOf(subject), encryptedPassword })
  }
  const { fingerprint } = await add('CN=Ada')
  const agent = await agentAt(world, { wire: { kind: 'imported', certificateRevision: fingerprint } })
  const document = policies.get('device-1')
  if (!document) throw new Error('no policy')
  const mailRoot = { ...document.trustedRoots[0], certificate: base64(caCertificate) } as (typeof document.trustedRoots)[number]
  const withRoot = (certificateRevision: string) =>
    policies.set('device-1', {
      ...document,
      trustedRoots: [mailRoot],
      pfxProfiles: (document.pfxProfiles ?? []).map((profile) => ({ ...profile, certificateRevision })),
    })
  withRoot(fingerprint)
  t.match((await agent.pass()).profiles, [{ state: 'installed', fingerprint }])
  await clock.advance(1000)
  const newer = await add('CN=Ada again')
  withRoot(lab.importedPfx.revision(ada, 'smimeEncryption') as string)
  t.match((await agent.pass()).results, [{ kind: 'import', reason: 'CertificateChanged', status: 'done' }])
  t.match((await agent.pass()).profiles, [{ state: 'installed', fingerprint: newer.fingerprint }])
})

/** As Graph has it (S41-S47). */
const pkcsProfile = (own: Json = {}): Json => ({
  '@odata.type': '#microsoft.graph.windows10PkcsCertificateProfile',
  id: 'pkcs',
  displayName: 'Mail',
  renewalThresholdPercentage: 20,
  subjectNameFormat: 'custom',
  subjectNameFormatString: 'CN={{UserName}},E={{EmailAddress}}',
  customSubjectAlternativeNames: [{ sanType: 'userPrincipalName', name: '{{UserPrincipalName}}' }],
  certificateStore: 'user',
  certificateValidityPeriodValue: 1,
  certificateValidityPeriodScale: 'years',
  keyStorageProvider: 'useSoftwareKsp',
  certificationAuthority: 'ca.contoso.example',
  certificationAuthorityName: 'Contoso Issuing',
  certificateTemplateName: 'CertfleetDevice',
  extendedKeyUsages: [{ name: 'Client', objectIdentifier: '1.3.6.1.5.5.7.3.2' }],
  'rootCertificate@odata.bind': `https://graph.microsoft.com/v1.0/${configurations}('root')`,
  ...own,
})

t.test('profiles of the admin: what is assigned is delivered, with the names of the user', async (t) => {
  const admin = await startAdmin()
  const { lab } = admin
  const trusted = { ...example('windows-root'), id: 'root', trustedRootCertificate: base64(lab.rootCertificate) }
  await admin.ask('POST', configurations, trusted)
  await admin.ask('POST', configurations, pkcsProfile())
  const purpose = { intendedPurpose: 'smimeEncryption', 'rootCertificate@odata.bind': `…/${configurations}('root')` }
  const smime = { '@odata.type': '#microsoft.graph.windows10ImportedPFXCertificateProfile', id: 'smime', displayName: 'S/MIME' }
  await admin.ask('POST', configurations, { ...smime, renewalThresholdPercentage: 20, keyStorageProvider: 'useSoftwareKsp', ...purpose })
  for (const id of ['root', 'pkcs', 'smime']) await admin.ask('POST', `${configurations}/${id}/assign`, { assignments: [allDevices] })
  const credential = await registered(lab, { deviceId: 'laptop', osVersion: '11' })
  const policy = async (of: string) =>
    jsonOf(await lab.handle({ method: 'GET', url: '/device/policy', headers: { authorization: `Bearer ${of}` } }))
  t.match(await policy(credential), {
    pfxProfiles: [{ id: 'pkcs', kind: 'pkcs', rootProfileId: 'root', renewalThresholdPercent: 20 }],
    failedProfiles: [{ id: 'smime', code: 'ERR_PROFILE_INVALID' }],
  })
  const { certificate } = await opened(await ask(lab, credential, 'a', 'pkcs'))
  t.match(JSON.stringify(certificate.subjectAltNames), /user-of-laptop@contoso\.example/)

  await t.test('S4: not on Windows 8.1', async (t) => {
    const old = await registered(lab, { deviceId: 'old', osVersion: '8.1' })
    t.same((await policy(old)).pfxProfiles ?? [], [])
    t.equal((await ask(lab, old, 'a', 'pkcs')).status, 404)
  })
  await t.test('S8: a PFX profile selects a Trusted profile that is there, and fails without one', async (t) => {
    const bind = 'rootCertificate@odata.bind'
    const lost = pkcsProfile({ id: 'lost', [bind]: `…/${configurations}('none')` })
    t.match(await admin.refused('POST', configurations, lost), /^400 BadRequest: rootCertificate@odata.bind/)
    await admin.ask('POST', configurations, { ...trusted, id: 'second', displayName: 'Second' })
    const { [bind]: _, ...unlinked } = pkcsProfile({ id: 'unlinked', assignments: [allDevices] })
    await admin.ask('POST', configurations, unlinked)
    const { failedProfiles } = await policy(credential)
    t.match(
      failedProfiles.find(({ id }: Json) => id === 'unlinked'),
      { code: 'ERR_PROFILE_INVALID', message: /Trusted/ },
    )
    t.equal((await ask(lab, credential, 'a', 'unlinked')).status, 404)
  })
  await t.test('an imported file changes the revision of its profile, and only that', async (t) => {
    const revisions = async () =>
      Object.fromEntries(((await policy(credential)).pfxProfiles as Json[]).map((p) => [p.id, p.certificateRevision]))
    const before = await revisions()
    const userPrincipalName = 'user-of-laptop@contoso.example'
    await admin.ask('POST', files, await bodyOf(admin, { userPrincipalName }))
    const after = await revisions()
    t.equal(after.pkcs, before.pkcs)
    t.equal(after.smime, lab.importedPfx.revision(userPrincipalName, 'smimeEncryption'))
    t.equal((await ask(lab, credential, 'a', 'smime')).status, 200)
  })
  await t.test('a device that is retired gets nothing more', async (t) => {
    t.equal((await admin.send('POST', 'deviceManagement/managedDevices/laptop/retire')).status, 204)
    t.equal((await ask(lab, credential, 'b', 'pkcs')).status, 404)
    t.equal((await post(lab, '/device/pfx', { profileId: 'pkcs', attemptId: 'b' })).status, 401)
  })
})
