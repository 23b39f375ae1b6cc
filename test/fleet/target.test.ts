import { join } from 'node:path'
import {
  AgentError,
  handlerTransport,
  memoryPolicyCache,
  registerDevice,
  seededJitter,
  softwareKeys,
  systemClock,
} from '@certfleet/agent-core'
import { type DeviceStorage, openTarget, policyServiceTarget, scepPolicies, scepTarget, targetTransport } from '@certfleet/emulator/fleet'
import { createLab, type Lab, serveLab } from '@certfleet/emulator/lab'
import { assignProfiles, generateTenant, loadExport, renderPolicy, retarget } from '@certfleet/emulator/tenant'
import t, { type Test } from 'tap'
import { makeTlsAuthority } from '#emulator/lab/tls/authority.ts'
import { issueTlsCertificate } from '#emulator/lab/tls/certificate.ts'
import { exampleProfiles } from '../commands/example.ts'
import { labStore } from '../fakes/lab-store.ts'
import { enrolAll, memoryStorage } from '../fakes/target-fleet.ts'
import { root } from '../tooling/root.ts'

const origin = 'http://lab.invalid'
const scepUrl = `${origin}/certsrv/mscep/mscep.dll`
const policyUrl = `${origin}/device/policy`
const challenge = 'open-sesame-17'
const administrator = { name: 'admin', password: 'of-the-admin-23' }
const tenant = generateTenant({ counts: { ios: 2, android: 1 }, domain: 'contoso.example' })
const devices = [...tenant.devices.values()].map(({ id, platform, osVersion }) => ({ id, platform, osVersion }))
const [first] = devices
if (!first) throw new Error('the tenant has devices')
const imported = await loadExport(exampleProfiles)
const service = policyServiceTarget({ policyUrl, registrationToken: 'token', push: false })

async function madeLab(options: Partial<Parameters<typeof createLab>[0]> = {}): Promise<Lab> {
  const lab: Lab = await createLab({
    store: await labStore(systemClock),
    clock: systemClock,
    registrationToken: 'token',
    policyFor: (deviceId) => renderPolicy(intent, tenant, deviceId, { revision: 1 }),
    ...options,
  })
  const { intent } = assignProfiles(retarget(imported, { root: lab.rootCertificate, scepUrl }).imported, tenant)
  return lab
}

/** A way to the lab, with the paths that were asked for. */
function watched(lab: Lab, asked: string[] = []) {
  const transport = handlerTransport(async (request) => {
    asked.push(new URL(request.url).pathname.split('/').at(-1) ?? '')
    return lab.handle(request)
  })
  const count = (path: string) => asked.filter((one) => one === path).length
  return { transport, asked, count }
}

t.test('a policy service', async (t) => {
  const lab = await madeLab()

  t.test('devices register and enrol', async (t) => {
    const ended = await enrolAll({ target: service, devices, transport: watched(lab).transport })
    for (const { identities, failures } of ended) t.match({ identities, failures }, { identities: { length: 1 }, failures: { length: 0 } })
  })

  t.test('one whose registration is on record does not register again', async (t) => {
    const storages = new Map([[first.id, await memoryStorage()]])
    const way = watched(lab)
    const run = { target: service, devices: [first], transport: way.transport, storages }
    await enrolAll(run)
    t.match(await enrolAll(run), [{ identities: { length: 1 }, failures: { length: 0 } }])
    t.equal(way.count('register'), 1)
    t.equal(way.count('policy'), 2)
  })

  t.test('one whose registration is no longer known registers again, once, and its old policy does not stand', async (t) => {
    const storage = await memoryStorage()
    const storages = new Map([[first.id, storage]])
    await enrolAll({ target: service, devices: [first], transport: watched(lab).transport, storages })
    await storage.policyCache.save({ body: Buffer.from((await bodyOf(storage)).replace('"revision":1', '"revision":9')) })
    const before = await storage.registration()
    const way = watched(await madeLab())
    const [ended] = await enrolAll({ target: service, devices: [first], transport: way.transport, storages })
    t.notMatch(ended?.failures, [{ code: 'ERR_POLICY_ROLLBACK' }])
    t.equal(way.count('register'), 1)
    t.equal(way.count('policy'), 2)
    t.not((await storage.registration())?.credential, before?.credential, 'the new one is on record')
    t.match(await bodyOf(storage), '"revision":1')
  })

  t.test('what is refused at once is not registered again', async (t) => {
    const way = watched(lab)
    const refused = handlerTransport(async (request) => {
      const answer = await way.transport.send(request)
      return request.url === policyUrl ? { ...answer, status: 401 } : answer
    })
    t.match(await enrolAll({ target: service, devices: [first], transport: refused }), [{ failures: [{ code: 'ERR_UNAUTHORIZED' }] }])
    t.equal(way.count('register'), 1)
    t.equal(way.count('policy'), 1)
    const known = new Map([[first.id, await memoryStorage()]])
    await known.get(first.id)?.saveRegistration({ deviceId: first.id, credential: 'of-an-earlier-run' })
    const again = await enrolAll({ target: service, devices: [first], transport: refused, storages: known })
    t.match(again, [{ failures: [{ code: 'ERR_UNAUTHORIZED' }] }])
    t.equal(way.count('register'), 2)
    t.equal(way.count('policy'), 3)

    const { signal } = new AbortController()
    const storage = await memoryStorage()
    await storage.saveRegistration({ deviceId: first.id, credential: 'of-an-earlier-run' })
    const { policySource } = await service.admit(
      { spec: first, transport: refused, clock: systemClock, jitter: seededJitter('1'), storage },
      signal,
    )
    for (let pass = 0; pass < 3; pass++) await t.rejects(policySource.fetch(signal), { code: 'ERR_UNAUTHORIZED' })
    t.equal(way.count('register'), 3, 'not at each pass')
  })

  t.test('a wrong token', async (t) => {
    const target = policyServiceTarget({ policyUrl, registrationToken: 'other', push: false })
    const ended = await enrolAll({ target, devices: [first], transport: watched(lab).transport })
    t.match(ended, [{ identities: { length: 0 }, failures: [{ code: 'ERR_UNAUTHORIZED' }] }])
  })

  t.test('a device that may get PFX registers with a management key, which is kept', async (t) => {
    const keys = softwareKeys()
    const storage = await memoryStorage(keys)
    const receives = { ...first, receivesPfx: true }
    const way = watched(lab)
    const admission = { spec: receives, transport: way.transport, clock: systemClock, jitter: seededJitter('1'), storage }
    const { signal } = new AbortController()
    t.ok((await service.admit(admission, signal)).pfxSource)
    t.strictSame(await keys.list(), ['certfleet-management'])
    await service.admit(admission, signal)
    t.equal(way.count('register'), 1, 'it still has its key')
    await keys.destroy('certfleet-management')
    await service.admit(admission, signal)
    t.equal(way.count('register'), 2, 'the service knows the old key')
    const without = await service.admit({ ...admission, spec: first, storage: await memoryStorage(keys) }, signal)
    t.equal(without.pfxSource, undefined)
    t.equal(without.connectPush, undefined)
  })

  t.test('push wakes, by the credential of the day, and tells when it is open and when it ends', async (t) => {
    const served = await serveLab(lab)
    t.teardown(() => served.close())
    const target = policyServiceTarget({ policyUrl: served.policyUrl, registrationToken: 'token', push: true, localAddress: '127.0.0.7' })
    const transport = handlerTransport(lab.handle)
    const admission = { spec: first, transport, clock: systemClock, jitter: seededJitter('1'), storage: await memoryStorage() }
    const { connectPush } = await target.admit(admission, new AbortController().signal)
    const told: string[] = []
    await new Promise<void>((resolve) => {
      const channel = connectPush?.(
        async () => {
          told.push('woken')
          await channel?.close()
          resolve()
        },
        {
          onOpen: (durationMs) => void told.push(durationMs > 0 ? 'open' : 'open in no time'),
          onDown: (wasOpen) => void told.push(wasOpen ? 'down' : 'never open'),
        },
      )
    })
    t.strictSame(told, ['open', 'woken', 'down'])
    const nowhere = policyServiceTarget({ policyUrl: 'http://127.0.0.1:1/device/policy', registrationToken: 'token', push: true })
    await admission.storage.saveRegistration({ deviceId: first.id, credential: 'known' })
    const lost = await nowhere.admit(admission, new AbortController().signal)
    const wasOpen = await new Promise<boolean>((resolve) => {
      const channel = lost.connectPush?.(() => {}, {
        onOpen: () => t.fail('nobody is there'),
        onDown: (down) => void channel?.close().then(() => resolve(down)),
      })
    })
    t.equal(wasOpen, false)
  })
})

t.test('a SCEP server alone', async (t) => {
  const lab = await madeLab({ policyFor: () => undefined, staticChallenge: challenge, ndes: { administrators: [administrator] } })
  const { policyFor, replaced, impossible } = scepPolicies(imported, tenant, { root: lab.rootCertificate, scepUrl })

  t.test('each device makes its own policy and asks nobody for one', async (t) => {
    const way = watched(lab)
    const target = scepTarget({ policyFor, challenge: { kind: 'static', text: challenge } })
    const ended = await enrolAll({ target, devices, transport: way.transport })
    for (const { identities, failures } of ended) t.match({ identities, failures }, { identities: { length: 1 }, failures: { length: 0 } })
    t.strictSame([...new Set(way.asked)], ['mscep.dll'])
    t.strictSame([...new Set(replaced.map(({ member }) => member))].sort(), ['scepServerUrls', 'trustedRootCertificate'])
    t.strictSame(impossible, [])
  })

  t.test('without a challenge where one is wanted', async (t) => {
    const ended = await enrolAll({ target: scepTarget({ policyFor }), devices: [first], transport: watched(lab).transport })
    t.match(ended, [{ identities: { length: 0 }, failures: [{ code: 'ERR_ENROLLMENT_REJECTED' }] }])
  })

  const page = {
    kind: 'mscep-admin',
    url: `${origin}/certsrv/mscep_admin/`,
    user: administrator.name,
    password: administrator.password,
  } as const

  t.test('a password of mscep_admin for each attempt', async (t) => {
    const way = watched(lab)
    const ended = await enrolAll({ target: scepTarget({ policyFor, challenge: page }), devices, transport: way.transport })
    for (const { identities, failures } of ended) t.match({ identities, failures }, { identities: { length: 1 }, failures: { length: 0 } })
    t.equal(way.asked.filter((path) => path === '').length, devices.length, 'visits of the page')
  })

  const full = async (t: Test) => {
    const own = await madeLab({ policyFor: () => undefined, ndes: { administrators: [administrator] } })
    await own.ndes.setRegistry({ PasswordMax: 1 })
    await own.ndes.restartIis()
    const held = await policyOf(own)
    const { challengeSource } = await scepTarget({ policyFor: held, challenge: page }).admit(
      { spec: first, transport: watched(own).transport, clock: systemClock, jitter: seededJitter('1'), storage: await memoryStorage() },
      new AbortController().signal,
    )
    t.type(await challengeSource.challengeFor('p', 'a', new AbortController().signal), 'string')
    return enrolAll({ target: scepTarget({ policyFor: held, challenge: page }), devices: [first], transport: watched(own).transport })
  }
  const refusing = () =>
    enrolAll({
      target: scepTarget({ policyFor, challenge: { ...page, password: 'wrong-24' } }),
      devices: [first],
      transport: watched(lab).transport,
    })
  const unreachable = () =>
    enrolAll({
      target: scepTarget({ policyFor, challenge: page }),
      devices: [first],
      transport: handlerTransport(async (request) => {
        if (request.url === page.url) throw new AgentError('ERR_NETWORK', 'cut')
        return lab.handle(request)
      }),
    })
  for (const [name, run, message] of [
    ['whose cache is full', full, /cache of mscep_admin is full/],
    ['that refuses the account', refusing, /shows no challenge password \(HTTP status 401\)/],
    ['that cannot be reached', unreachable, /: cut/],
  ] as const) {
    t.test(`a page ${name} gives no challenge`, async (t) => {
      const ended = await run(t)
      t.match(ended, [{ identities: { length: 0 }, failures: [{ code: 'ERR_CHALLENGE_UNAVAILABLE', message }] }])
      t.notMatch(JSON.stringify(ended), /of-the-admin|wrong-24/)
    })
  }

  t.test('PFX profiles are for nobody there, and are told', async (t) => {
    const own = generateTenant({ counts: { ios: 1, windows: 1 }, domain: 'contoso.example' })
    const all = await loadExport(join(root, 'examples/pkcs12/graph'))
    const policies = scepPolicies(all, own, { root: lab.rootCertificate, scepUrl })
    t.ok(policies.impossible.length > 0, `${policies.impossible.length} profiles`)
    const policy = [...own.devices.keys()].map(policies.policyFor).find(({ notApplicable }) => (notApplicable ?? []).length > 0)
    t.match(policy?.notApplicable, [{ reason: /takes a policy service/ }])
    t.equal(policy?.pfxProfiles, undefined)
    t.notOk(policies.replaced.some(({ member }) => member.startsWith('certification')))
  })
})

t.test('over TLS everything is trusted by the named CAs alone, the push connection too', async (t) => {
  const authority = await makeTlsAuthority({ clock: systemClock, name: 'TLS of the lab' })
  let served = { scepUrl, policyUrl }
  const lab = await createLab({
    store: await labStore(systemClock),
    clock: systemClock,
    registrationToken: 'token',
    policyFor(deviceId) {
      const { intent } = assignProfiles(retarget(imported, { root: lab.rootCertificate, scepUrl: served.scepUrl }).imported, tenant)
      return renderPolicy(intent, tenant, deviceId, { revision: 1 })
    },
  })
  const tls = await issueTlsCertificate({ publicName: 'localhost', purposes: ['server'] }, authority, systemClock)
  const server = await serveLab(lab, { tls })
  t.teardown(() => server.close())
  served = server
  for (const [name, anchor, expected] of [
    ['its own', authority.root.raw, { identities: { length: 1 }, failures: { length: 0 } }],
    ['another', lab.rootCertificate, { identities: { length: 0 }, failures: [{ code: 'ERR_NETWORK', message: /localhost:\d+ failed: / }] }],
  ] as const) {
    const trustAnchors = [Buffer.from(anchor).toString('base64')]
    const settings = { kind: 'policy', policyUrl: server.policyUrl, registrationToken: 'token', trustAnchors } as const
    const transport = targetTransport(settings, { clock: systemClock, emulatedKeys: true })
    const target = openTarget(settings, { policies: { imported, tenant } })
    t.match(await enrolAll({ target, transport, devices: [first] }), [expected], name)
    await transport.close()

    const admission = { spec: first, transport: handlerTransport(lab.handle), clock: systemClock, jitter: seededJitter('1') }
    const storage = await memoryStorage()
    await storage.saveRegistration(await registerDevice({ ...settings, ...admission, deviceId: first.id, ...first }))
    const { connectPush } = await target.admit({ ...admission, storage }, new AbortController().signal)
    const isUp = await new Promise<boolean>((resolve) => {
      const channel = connectPush?.(() => {}, {
        onOpen: () => void channel?.close().then(() => resolve(true)),
        onDown: (wasOpen) => void (wasOpen || channel?.close().then(() => resolve(false))),
      })
    })
    t.equal(isUp, name === 'its own', `push trusts ${name}`)
  }
})

async function policyOf(lab: Lab) {
  return scepPolicies(imported, tenant, { root: lab.rootCertificate, scepUrl }).policyFor
}

async function bodyOf({ policyCache = memoryPolicyCache() }: DeviceStorage): Promise<string> {
  return Buffer.from((await policyCache.load())?.body ?? []).toString()
}
