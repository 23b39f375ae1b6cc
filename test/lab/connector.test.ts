import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import {
  type KeyProtection,
  type KeyStorageOption,
  modelledTpm,
  noLatency,
  type PolicyDocument,
  softwareKeyHandle,
  softwareKeys,
} from '@certfleet/agent-core'
import type { LabStore, LabTables } from '@certfleet/emulator/lab'
import type { PlatformName } from '@certfleet/platforms'
import t from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { template } from './ca-world.ts'
import {
  agentAt,
  ask,
  day,
  management,
  managementBase64,
  opened,
  opensslPkcs12,
  type PfxLab,
  type PkcsRequest,
  pkcs,
  registered,
  startPfxLab,
} from './connector-world.ts'
import { jsonOf, opensslVerify, post, registrationToken, start, startLab } from './surroundings.ts'

const audited = ({ lab }: Pick<PfxLab, 'lab'>) => lab.audit().filter(({ event }) => event.startsWith('pfx') || event === 'refused')
const issued = ({ lab }: Pick<PfxLab, 'lab'>) => [...lab.issued()]

t.test('pfx-profile.key-maker: a PFX of the CA on every platform, with the real agent', async (t) => {
  const rows: readonly (readonly [
    name: string,
    PlatformName,
    osVersion: string,
    keyStorage: KeyStorageOption,
    KeyProtection,
    certificates: number,
    encryption: 'PBES2' | 'pbeWithSHA1And3-KeyTripleDES-CBC',
  ])[] = [
    ['Windows, into the TPM', 'windows', '11', 'useTpmKspOtherwiseFail', 'tpm', 2, 'PBES2'],
    ['Windows, into software', 'windows', '10.0.19045', 'useSoftwareKsp', 'software', 2, 'PBES2'],
    ['iOS: one certificate', 'ios', '17.4', 'useSoftwareKsp', 'software', 1, 'PBES2'],
    ['macOS: one certificate', 'macos', '14.4', 'useSoftwareKsp', 'software', 1, 'PBES2'],
    ['Android', 'android', '14', 'useSoftwareKsp', 'software', 2, 'PBES2'],
    ['Android 11, which reads 3DES alone', 'android', '11', 'useSoftwareKsp', 'software', 2, 'pbeWithSHA1And3-KeyTripleDES-CBC'],
  ]
  for (const [name, platform, osVersion, keyStorage, protection, certificates, encryption] of rows) {
    await t.test(name, async (t) => {
      const world = await startPfxLab([pkcs({ keyBits: 2048 })])
      const keys = [softwareKeys(), modelledTpm({ clock: world.clock, latency: noLatency })]
      const agent = await agentAt(world, { platform, osVersion, keys, wire: { keyStorage } })
      t.match((await agent.pass()).profiles, [{ profileId: 'mail', state: 'installed', keyProtection: protection, keyBits: 2048 }])
      const { bytes, password, certificate, chain } = await opened(agent.answers[0] as never)
      t.equal(1 + chain.length, certificates)
      t.match(opensslVerify(t, world.lab, certificate.raw, start + day), /OK/)
      const legacy = encryption === 'PBES2' ? [] : ['-legacy']
      t.match(opensslPkcs12(t, bytes, password, ...legacy), /BEGIN (RSA )?PRIVATE KEY/, 'openssl opens it')
      t.equal(isPbes2(bytes), encryption === 'PBES2', encryption)
      t.match(issued(world), [{ deviceId: 'device-1', profileId: 'mail', template: 'CertfleetDevice', attemptId: /^[0-9a-f-]{36}$/ }])
      t.equal(world.store.get('connectorKeys', 'device-1'), undefined, 'its key is given up once the device has reported it')
    })
  }
})

/** id-PBES2 (RFC 8018). */
function isPbes2(pfx: Uint8Array): boolean {
  return Buffer.from(pfx).includes(Buffer.from('06092a864886f70d01050d', 'hex'))
}

t.test('a renewal is a new attempt: a new key, a new certificate', async (t) => {
  const world = await startPfxLab([pkcs({ keyBits: 2048 })], { templateValidityMs: 100 * day })
  const agent = await agentAt(world)
  await agent.pass()
  await world.clock.advance(79 * day)
  t.same((await agent.pass()).results, [], 'not before the threshold')
  await world.clock.advance(2 * day)
  t.match((await agent.pass()).results, [{ kind: 'import', reason: 'RenewalDue', status: 'done' }])
  const [first, second] = await Promise.all(agent.answers.map(opened))
  t.not(first?.modulus, second?.modulus)
  t.equal(issued(world).length, 2)
})

t.test('S11: without the trusted root on the device the connector is not asked', async (t) => {
  const world = await startPfxLab([pkcs()])
  const agent = await agentAt(world, { roots: ['issuing'] })
  t.match((await agent.pass()).profiles, [{ state: 'requestCreationFailed', code: 'ERR_ROOT_NOT_DEPLOYED' }])
  t.same([agent.answers, issued(world)], [[], []])
})

t.test('one attempt, one key and one certificate', async (t) => {
  await t.test('asked again, five times at once, and after a restart', async (t) => {
    const world = await startPfxLab([pkcs()])
    const credential = await registered(world.lab)
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask(world.lab, credential)))
    const { lab: again } = await startLab({ store: world.store, pfxRequestsFor: () => [pkcs()] })
    const all = await Promise.all([...answers, await ask(again, credential)].map(opened))
    t.equal(new Set(all.map(({ modulus }) => modulus)).size, 1, 'one key')
    t.equal(new Set(all.map(({ certificate }) => certificate.raw.toString())).size, 1, 'one certificate')
    t.equal(new Set(all.map(({ password }) => password)).size, all.length, 'a password for each file')
    t.equal(issued(world).length, 1)
  })
  await t.test('the next attempt supersedes it', async (t) => {
    const world = await startPfxLab([pkcs(), pkcs({ profileId: 'other' })])
    const credential = await registered(world.lab)
    const [first, second] = [await opened(await ask(world.lab, credential)), await opened(await ask(world.lab, credential, 'attempt-2'))]
    t.not(first.modulus, second.modulus)
    t.equal((await ask(world.lab, credential, 'attempt-1', 'other')).status, 200, 'of another profile it is another attempt')
    t.equal((await ask(world.lab, credential)).status, 410)
    t.equal((await opened(await ask(world.lab, credential, 'attempt-2'))).modulus, second.modulus)
    t.equal(issued(world).length, 3)
  })
  await t.test('left lying until the certificate expired: another over the same key', async (t) => {
    const world = await startPfxLab([pkcs()], { templateValidityMs: 10 * day })
    const credential = await registered(world.lab)
    const first = await opened(await ask(world.lab, credential))
    await world.clock.advance(10 * day)
    const second = await opened(await ask(world.lab, credential))
    t.equal(first.modulus, second.modulus)
    t.ok(second.certificate.notAfter > world.clock.now())
    t.equal(issued(world).length, 2)
  })
  await t.test('a crash between its key and its certificate', async (t) => {
    const world = await startPfxLab([pkcs()])
    const credential = await registered(world.lab)
    const crashing: LabStore = {
      ...world.store,
      transaction: (work) =>
        world.store.transaction((tx) => {
          const put: typeof tx.put = (table, ...rest) => {
            if (table === 'issued') throw new Error('crash')
            tx.put(table, ...rest)
          }
          return work({ ...tx, put })
        }),
    }
    const { lab: cut } = await startLab({ store: crashing, pfxRequestsFor: () => [pkcs()] })
    await t.rejects(ask(cut, credential), { message: 'crash' })
    const [open] = world.store.get('connectorKeys', 'device-1') ?? []
    const key = createPrivateKey({ key: Buffer.from(open?.privateKey ?? []), format: 'der', type: 'pkcs8' })
    const { lab: again } = await startLab({ store: world.store, pfxRequestsFor: () => [pkcs()] })
    t.equal((await opened(await ask(again, credential))).secret, key.export({ format: 'jwk' }).d)
    t.equal(issued(world).length, 1)
  })
  await t.test('a profile that is gone takes its key along at the next report', async (t) => {
    const world = await startPfxLab([pkcs()])
    const credential = await registered(world.lab)
    await ask(world.lab, credential)
    const report = () =>
      post(world.lab, '/device/report', { revision: 1, at: 0, platform: 'windows', results: [], roots: [], profiles: [] }, credential)
    await report()
    t.equal(world.store.get('connectorKeys', 'device-1')?.length, 1)
    world.requests.delete('device-1')
    await report()
    t.equal(world.store.get('connectorKeys', 'device-1'), undefined)
  })
  await t.test('a report gives up no key but that of the certificate it names', async (t) => {
    const world = await startPfxLab([pkcs()])
    const credential = await registered(world.lab)
    await ask(world.lab, credential)
    const [record] = issued(world)
    const report = (serialNumber: unknown, state = 'installed') => {
      const profiles = [{ profileId: 'mail', principal: 'device', state, serialNumber }]
      return post(world.lab, '/device/report', { revision: 1, at: 0, platform: 'windows', results: [], roots: [], profiles }, credential)
    }
    for (const serialNumber of ['aa', 7, null]) await report(serialNumber)
    await report(record?.serialNumber, 'issueFailed')
    t.equal((await ask(world.lab, credential)).status, 200)
    await report(record?.serialNumber)
    t.equal((await ask(world.lab, credential)).status, 410)
  })
})

t.test('pfx-profile.authority: the CA decides: template, account, lifetime', async (t) => {
  const refusals: readonly (readonly [name: string, own: Partial<PkcsRequest>, hresult: number | undefined, detail: RegExp])[] = [
    ['a template without Enroll for the connector (S53)', { certificateTemplateName: 'NdesOnly' }, 0x80094012, /"connector" has no enroll/],
    [
      'no such template: the display name is none (S44)',
      { certificateTemplateName: 'NdesOnly, as shown' },
      0x80094800,
      /no certificate template/,
    ],
    ['a key below the template’s minimum (S47)', { certificateTemplateName: 'Long' }, 0x80094811, /2048 bits/],
    [
      'another host (S42)',
      { certificationAuthority: 'other.contoso.example' },
      undefined,
      /names the CA "other.contoso.example\\Contoso Issuing"/,
    ],
    ['another CA of that host (S43)', { certificationAuthorityName: 'Other' }, undefined, /names the CA "ca.contoso.example\\Other"/],
  ]
  const templates = [template('NdesOnly'), template('Long', { enrollAccounts: ['connector'] })]
  const authorityName = { host: 'CA.contoso.example', name: 'contoso issuing' }
  for (const [name, own, hresult, detail] of refusals) {
    await t.test(name, async (t) => {
      const world = await startPfxLab([pkcs(own)], { templates, authorityName })
      const agent = await agentAt(world)
      t.match((await agent.pass()).profiles, [{ code: 'ERR_PFX_UNAVAILABLE', message: /answered 502/ }])
      t.match(audited(world), [
        { event: 'refused', deviceId: 'device-1', profileId: 'mail', detail, ...(hresult !== undefined && { hresult }) },
      ])
      t.same(issued(world), [])
    })
  }
  await t.test('ca.connector-enroll: S53: a connector that may not request certificates at all', async (t) => {
    const accounts = [{ name: 'connector', issueAndManage: true, requestCertificates: false }]
    const world = await startPfxLab([pkcs()], { accounts })
    t.equal((await ask(world.lab, await registered(world.lab))).status, 502)
    t.match(audited(world), [{ hresult: 0x80094011 }])
  })
  await t.test('pfx-profile.without: the template says what the profile does not; names come from the profile', async (t) => {
    const mail = template('Mail', {
      enrollAccounts: ['connector'],
      keyUsages: ['keyEncipherment'],
      applicationPolicies: ['1.3.6.1.5.5.7.3.4'],
    })
    const world = await startPfxLab([pkcs({ certificateTemplateName: 'Mail', keyBits: 2048 })], { templates: [mail] })
    const { certificate } = await opened(await ask(world.lab, await registered(world.lab)))
    t.same([...(certificate.keyUsage ?? [])], ['keyEncipherment'])
    t.same(certificate.extendedKeyUsage, ['1.3.6.1.5.5.7.3.4'])
    t.match(opensslVerify(t, world.lab, certificate.raw, start + day), /OK/)
    const { subjectAltNames } = certificate
    t.match(JSON.stringify(subjectAltNames), /ada@contoso\.example/)
  })
  for (const [platform, osVersion, days] of [
    ['windows', '11', 30],
    ['ios', '17.4', 365],
  ] as const) {
    await t.test(`S50, S51: EDITF_ATTRIBUTEENDDATE and ${platform}`, async (t) => {
      const world = await startPfxLab([pkcs()], { honourRequestedValidity: true })
      const { certificate } = await opened(await ask(world.lab, await registered(world.lab, { platform, osVersion })))
      t.equal(certificate.notAfter - certificate.notBefore, days * day)
    })
  }
  await t.test('an approver may let it wait or refuse it', async (t) => {
    let mood: 'pending' | 'issue' | { failInfo: 'badRequest' } = 'pending'
    const world = await startPfxLab([pkcs()], { approve: () => mood })
    const credential = await registered(world.lab)
    t.equal((await ask(world.lab, credential)).status, 503)
    mood = { failInfo: 'badRequest' }
    t.equal((await ask(world.lab, credential)).status, 502)
    mood = 'issue'
    t.equal((await ask(world.lab, credential)).status, 200)
    t.equal(issued(world).length, 1)
  })
  await t.test('S52: revoked by the account of the connector; the attempt gets no other', async (t) => {
    const world = await startPfxLab([pkcs()])
    const credential = await registered(world.lab)
    await ask(world.lab, credential)
    await world.lab.revoke(issued(world)[0]?.serialNumber as string, 'superseded', { account: 'connector' })
    t.equal((await ask(world.lab, credential)).status, 502)
    t.match(audited(world).at(-1), { detail: 'the certificate of this transaction is revoked' })
    t.equal((await ask(world.lab, credential, 'attempt-2')).status, 200)
  })
})

t.test('who gets nothing', async (t) => {
  const world = await startPfxLab([pkcs()])
  const { lab, requests } = world
  const credential = await registered(lab)
  const other = await registered(lab, { deviceId: 'device-2' })
  const plain = jsonOf(
    await post(lab, '/device/register', { registrationToken, deviceId: 'device-3', platform: 'windows', osVersion: '11' }),
  )
  requests.set('device-2', [pkcs({ profileId: 'theirs' })])
  requests.set('device-3', [pkcs()])
  const rows: readonly (readonly [name: string, credential: string | undefined, body: unknown, status: number])[] = [
    ['no credential', undefined, { profileId: 'mail', attemptId: 'a' }, 401],
    ['a credential that is none', 'x'.repeat(43), { profileId: 'mail', attemptId: 'a' }, 401],
    ['another device’s profile', credential, { profileId: 'theirs', attemptId: 'a' }, 404],
    ['a profile of nobody', other, { profileId: 'mail', attemptId: 'a' }, 404],
    ['no management certificate', plain.credential, { profileId: 'mail', attemptId: 'a' }, 409],
    ['no attempt', credential, { profileId: 'mail' }, 400],
    ['no text', credential, { profileId: 'mail', attemptId: 7 }, 400],
    ['an attempt too long', credential, { profileId: 'mail', attemptId: 'a'.repeat(257) }, 400],
    ['an attempt with a line break', credential, { profileId: 'mail', attemptId: 'a\n' }, 400],
    ['an array', credential, [], 400],
    ['a body too large', credential, 'a'.repeat(1024 * 1024), 413],
  ]
  for (const [name, bearer, body, status] of rows) t.equal((await post(lab, '/device/pfx', body, bearer)).status, status, name)
  const raw = (body: Uint8Array | undefined, method: 'POST' | 'GET' = 'POST') =>
    lab.handle({ method, url: '/device/pfx', headers: { authorization: `Bearer ${credential}` }, ...(body && { body }) })
  t.equal((await raw(undefined)).status, 400, 'no body')
  t.equal((await raw(Buffer.from([0xff, 0xfe]))).status, 400, 'no UTF-8')
  t.equal((await raw(undefined, 'GET')).status, 405)
  t.same(issued(world), [])
  t.match(
    audited(world).map(({ detail }) => detail),
    [/no such PFX profile/, /no such PFX profile/, /without a management certificate/],
  )
})

t.test('eight requests of a device at once, and no more', async (t) => {
  const world = await startPfxLab([pkcs()])
  const credential = await registered(world.lab)
  const answers = await Promise.all(Array.from({ length: 12 }, () => ask(world.lab, credential)))
  t.same(answers.map(({ status }) => status).sort(), [...Array(8).fill(200), ...Array(4).fill(429)])
  t.equal((await ask(world.lab, credential)).status, 200, 'afterwards it may again')
})

t.test('the management certificate of a registration', async (t) => {
  const { lab, store } = await startPfxLab([pkcs()])
  const key = await testKey('managed')
  const subject = 'CN=device management'
  const weak = softwareKeyHandle(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey, 'weak')
  const curve = softwareKeyHandle(generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey, 'curve')
  const base64 = (der: Uint8Array) => Buffer.from(der).toString('base64')
  const good = base64(await testCertificate({ subject, key, keyUsage: ['keyEncipherment'] }))
  const rows: readonly (readonly [name: string, managementCertificate: unknown, status: number])[] = [
    ['none', undefined, 201],
    ['RSA-2048 for key encipherment', good, 201],
    ['the agent’s own', managementBase64, 201],
    ['RSA-1024', base64(await testCertificate({ subject, key: weak, keyUsage: ['keyEncipherment'] })), 400],
    ['P-256', base64(await testCertificate({ subject, key: curve, keyUsage: ['keyEncipherment'] })), 400],
    ['for signatures only', base64(await testCertificate({ subject, key, keyUsage: ['digitalSignature'] })), 400],
    ['no certificate', base64(Buffer.alloc(40)), 400],
    ['two of them', good + good, 400],
    ['empty', '', 400],
    ['no base64', '*', 400],
    ['too long', base64(new Uint8Array(8_194)), 400],
    ['no text', 7, 400],
  ]
  for (const [name, managementCertificate, status] of rows) {
    const before = store.get('registrations', 'device-1')
    const device = { deviceId: 'device-1', platform: 'windows', osVersion: '11', managementCertificate }
    t.equal((await post(lab, '/device/register', device, registrationToken)).status, status, name)
    if (status === 400) t.same(store.get('registrations', 'device-1'), before, `${name}: nothing changed`)
  }
  await registered(lab)
  t.same(
    Buffer.from(store.get('registrations', 'device-1')?.managementCertificate ?? []),
    Buffer.from(management.certificate),
    'the last counts',
  )
  const { credential } = jsonOf(
    await post(lab, '/device/register', { registrationToken, deviceId: 'device-1', platform: 'windows', osVersion: '11' }),
  )
  t.equal((await ask(lab, credential)).status, 409, 'one that brings none has none any more')
})

t.test('no password, and after the report no key, is in any record', async (t) => {
  const world = await startPfxLab([pkcs({ keyBits: 2048 })])
  const agent = await agentAt(world)
  await agent.pass()
  const { password, secret, bytes } = await opened(agent.answers[0] as never)
  const tables: readonly (keyof LabTables)[] = ['registrations', 'transactions', 'issued', 'reports', 'audit', 'connectorKeys', 'revisions']
  const dump = tables.flatMap((table) => [...world.store.list(table)])
  const octets = dump.flatMap(octetsIn)
  t.notMatch(JSON.stringify(dump), new RegExp(password))
  for (const [name, hidden] of [
    ['password', Buffer.from(password)],
    ['key', Buffer.from(secret, 'base64url')],
    ['file', Buffer.from(bytes)],
  ] as const)
    t.notOk(
      octets.some((one) => one.includes(hidden)),
      `${name} is in no record`,
    )
})

/** Every run of octets within a record. */
function octetsIn(value: unknown): Buffer[] {
  if (value instanceof Uint8Array) return [Buffer.from(value)]
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(octetsIn)
}

t.test('a device that is managed no longer gets none', async (t) => {
  const world = await startPfxLab([pkcs()])
  const credential = await registered(world.lab)
  const policy: PolicyDocument = {
    schemaVersion: 1,
    revision: 1,
    deviceId: 'device-1',
    trustedRoots: [],
    scepProfiles: [],
    failedProfiles: [],
  }
  world.policies.set('device-1', policy)
  t.equal((await ask(world.lab, credential)).status, 200)
  world.policies.set('device-1', { ...policy, lifecycle: 'retired' })
  t.equal((await ask(world.lab, credential, 'attempt-2')).status, 404)
})
