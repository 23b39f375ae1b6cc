import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  createCsr,
  type Device,
  httpTransport,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  policyService,
  reconcile,
  registerDevice,
  type ScepHabits,
  scepProtocol,
  verifyIssued,
} from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { createLab, type Lab, memoryLabStore, serveLab } from '@certfleet/emulator/lab'
import { platformAdapter } from '@certfleet/platforms'
import t, { type Test } from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { policyDocument } from '../fakes/policy-document.ts'
import { pem } from '../lab/surroundings.ts'
import { emptyKeys, isTpm, noToken, rsa2048 } from './token.ts'

const day = 86_400_000
const start = Date.UTC(2027, 0, 1)
const signal = new AbortController().signal
const os = { platform: 'windows', osVersion: '11' } as const

const habits: ScepHabits = {
  order: 'caps-first',
  urlSuffix: '',
  userAgent: 'test/1',
  signerSubject: 'random-uuid',
  renewal: 'RenewalReq',
  urls: 'first',
}

t.test('an agent enrols, and renews, with a key that never leaves the token', { skip: noToken }, async (t) => {
  const keys = await emptyKeys('enrollment')
  const clock = new FakeClock(start)
  const transport = httpTransport({ allowLoopback: true })
  const registrationToken = 'registration-token'
  let scepUrl = ''
  const lab: Lab = await createLab({
    store: memoryLabStore(),
    clock,
    registrationToken,
    templateValidityMs: 100 * day,
    policyFor: (deviceId) => policyOf(deviceId, lab, scepUrl),
  })
  const served = await serveLab(lab)
  t.teardown(async () => {
    await transport.close()
    await served.close()
    await keys.close()
  })
  scepUrl = served.scepUrl
  const { policyUrl } = served
  const { credential } = await registerDevice({ policyUrl, transport, registrationToken, deviceId: 'dev-1', ...os })
  const jitter = { between: (minMs: number) => minMs }
  const stores = { certificateStores: memoryStores(), identities: memoryIdentities() }
  const device: Device = {
    ...policyService({ policyUrl, deviceId: 'dev-1', credential, transport, cache: memoryPolicyCache() }),
    platform: platformAdapter('windows', { ...stores, ...os, keyStorageProviders: [keys], transport, clock, jitter, allowHttp: true }),
    clock,
    jitter,
    state: memoryState(),
    ...(!isTpm && { keyStorage: 'pkcs11' as const }),
  }

  const first = await pass(t, device)
  t.match(first.identity?.placement, { protection: keys.protection, provider: keys.name, reason: isTpm ? 'tpm-ready' : 'device-choice' })
  const key = await keys.open(first.identity?.keyLabel ?? '')
  t.strictSame(Buffer.from(key?.publicKey ?? []), Buffer.from(first.leaf.publicKey))
  opensslVerifies(t, lab, first.leaf.raw, start)

  await clock.advance(85 * day)
  const second = await pass(t, device)
  t.not(second.identity?.keyLabel, first.identity?.keyLabel, 'a new key')
  t.notSame(second.leaf.serialNumber, first.leaf.serialNumber)
  t.strictSame(await keys.list(), [second.identity?.keyLabel], 'the old key is gone from the token')
  opensslVerifies(t, lab, second.leaf.raw, start + 85 * day)

  await t.test('a RenewalReq that the old key on the token signs needs no challenge', async (t) => {
    const [profile] = policyDocument('dev-1', lab.rootCertificate).scepProfiles
    if (!profile) throw new Error('the policy has no profile')
    const key = await keys.generate(rsa2048, 'next')
    const csr = await createCsr({ ...profile, key, hash: 'sha256' })
    const old = await keys.open(second.identity?.keyLabel ?? '')
    if (!old) throw new Error('the key is gone')
    const trust = { root: lab.rootCertificate }
    const protocol = scepProtocol({ urls: [scepUrl], habits, transport, trust, clock, jitter })
    const outcome = await protocol.request({ csr, key, current: { certificate: second.leaf.raw, key: old } }, signal)
    if (outcome.status !== 'issued') return t.fail(JSON.stringify(outcome))
    const request = { ...profile, keySpec: rsa2048 }
    const { leaf } = verifyIssued({ issued: outcome.chain, request, key, root: lab.rootCertificate, at: clock.now() })
    t.strictSame(Buffer.from(leaf.publicKey), Buffer.from(key.publicKey))
    opensslVerifies(t, lab, leaf.raw, clock.now())
  })
  for (const label of await keys.list()) await keys.destroy(label)
})

function policyOf(deviceId: string, lab: Lab, scepUrl: string) {
  const document = policyDocument(deviceId, lab.rootCertificate)
  const keyStorage = isTpm ? ('useTpmKspOtherwiseFail' as const) : ('useSoftwareKsp' as const)
  return { ...document, scepProfiles: document.scepProfiles.map((profile) => ({ ...profile, keyStorage, scepUrls: [scepUrl] })) }
}

async function pass(t: Test, device: Device) {
  const { report } = await reconcile(device, signal)
  t.strictSame(
    report.profiles.map(({ state }) => state),
    ['installed'],
    JSON.stringify(report.results),
  )
  const [identity] = await device.platform.identities.list()
  return { identity, leaf: parseCertificate(identity?.chain[0] as Uint8Array) }
}

function opensslVerifies(t: Test, lab: Lab, leaf: Uint8Array, at: number): void {
  const folder = t.testdir()
  const file = (name: string, der: Uint8Array) => {
    writeFileSync(join(folder, name), pem(der))
    return join(folder, name)
  }
  const trust = ['-CAfile', file('root.pem', lab.rootCertificate), '-untrusted', file('issuing.pem', lab.issuingCertificate)]
  const args = ['verify', '-x509_strict', '-attime', String(at / 1000), ...trust, file('leaf.pem', leaf)]
  t.match(execFileSync('openssl', args, { encoding: 'utf8' }), /OK/)
}
