import { generateKeyPairSync } from 'node:crypto'
import { AgentError, type HttpRequest, handlerTransport, scepProtocol, softwareKeyHandle } from '@certfleet/agent-core'
import { oid } from '@certfleet/agent-core/der'
import { buildPfx } from '@certfleet/agent-core/pfx'
import { createCsr } from '@certfleet/agent-core/pki'
import { chooseAlgorithms, parseCaCertificates, parseCapabilities } from '@certfleet/agent-core/scep/messages'
import { habitsOf, macosFacts, type PlatformName, platformAdapter, profileFacts, says, scepFacts } from '@certfleet/platforms'
import t from 'tap'
import { encodeScepAttributes, failInfos, messageTypes, pkiStatuses } from '#agent-core/scep/attributes.ts'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { FakeClock } from '../fakes/clock.ts'
import { bundle, caCertificates, type Script, scriptedServer } from '../fakes/scep-server.ts'
import { bindings, scepProfile } from './device.ts'

const key = await testKey('device')
const csr = await createCsr({ ...scepProfile().request, key, hash: 'sha256', challenge: 'canary' })
const signal = new AbortController().signal
const clock = new FakeClock(1_800_000_000_000)
const osVersions = { ios: '17.4', macos: '14.4', android: '14', windows: '11' } as const

/** One enrolment as that platform goes about it. */
async function enrol(platform: PlatformName, script: Script = {}, osVersion: string = osVersions[platform]) {
  const server = scriptedServer(script)
  const transport = handlerTransport(server.handle)
  const adapter = platformAdapter(platform, bindings({ osVersion, transport, clock }))
  const protocol = adapter.protocolFor(scepProfile({ scepUrls: ['https://scep.example/scep'] }), caCertificates.root)
  return { server, asked: protocol.request({ csr, key }, signal) }
}

t.test('scep.message-types, scep.statuses, scep.fail-infos: the numbers of the agent are those of the catalogue', async (t) => {
  t.same(messageTypes, scepFacts.messageTypes.value)
  t.same(pkiStatuses, scepFacts.statuses.value)
  t.same(failInfos, scepFacts.failInfos.value)
})

t.test('scep.attributes, scep.fail-info-text: each under its OID', async (t) => {
  const nonce = new Uint8Array(16)
  const of = { messageType: 'CertRep', transactionId: 'T', senderNonce: nonce, recipientNonce: nonce } as const
  const encoded = encodeScepAttributes({ ...of, pkiStatus: 'failure', failInfo: 'badTime', failInfoText: 'x' }).map(({ oid }) => oid)
  const expected = Object.values(scepFacts.attributes.value).map((number) => `2.16.840.1.113733.1.9.${number}`)
  t.same(encoded.sort(), [...expected, scepFacts.failInfoText.value].sort())
})

t.test('scep.challenge: the attribute of the request has its OID', async (t) => {
  t.ok(Buffer.from(csr).includes(Buffer.from(oid(scepFacts.challenge.value))))
})

t.test('scep.floor, hash.sha2: what is used where little is offered', async (t) => {
  const { hash, cipher } = chooseAlgorithms(parseCapabilities(''))
  t.same({ hash, cipher }, scepFacts.floor.value)
  const names: readonly string[] = profileFacts.sha2.value
  for (const offered of ['SHA-256', 'SHA-512']) {
    t.ok(names.includes(chooseAlgorithms(parseCapabilities(offered), { hash: 'sha256' }).hash), offered)
  }
})

t.test('scep.registration-authority: each of the two for its part', async (t) => {
  const { recipient, signers } = parseCaCertificates(bundle(Object.values(caCertificates)))
  const { registrationAuthority } = scepFacts
  t.same([...(recipient.keyUsage ?? [])], [registrationAuthority.value.recipient])
  t.same([...(signers[0]?.keyUsage ?? [])], [registrationAuthority.value.signer])
})

t.test('scep.polling, scep.renewal-types: the messages have these names', async (t) => {
  const server = scriptedServer({ answers: [{ status: 'pending' }, { status: 'issue' }] })
  const adapter = platformAdapter('windows', bindings({ osVersion: '11', transport: handlerTransport(server.handle), clock }))
  const protocol = adapter.protocolFor(scepProfile({ scepUrls: ['https://scep.example/scep'] }), caCertificates.root)
  t.equal((await protocol.request({ csr, key }, signal)).status, 'pending')
  t.equal((await protocol.poll({ csr, key }, signal)).status, 'issued')
  t.equal(server.received[1]?.message.messageType, scepFacts.polling.value)
  for (const type of scepFacts.renewalTypes.value) t.ok(Object.hasOwn(messageTypes, type), type)
})

t.test('scep.capabilities: every word of the catalogue is one that the agent acts on, and no other', async (t) => {
  const words = [...scepFacts.capabilities.value, 'Update', 'MD5', 'DES']
  t.same([...parseCapabilities(words.join('\r\n'))].sort(), [...scepFacts.capabilities.value].sort())
})

for (const platform of ['ios', 'android', 'windows'] as const) {
  t.test(`scep.capabilities-type: ${platform} reads capabilities of any type, or of none`, async (t) => {
    for (const headers of [{}, { 'content-type': 'application/octet-stream' }]) {
      const body = Buffer.from('DES3\nSHA-512\nPOSTPKIOperation')
      const { server, asked } = await enrol(platform, { capabilities: { status: 200, headers, body } })
      t.equal((await asked).status, 'issued')
      t.match(server.received[0], { method: 'POST', opened: { cipher: 'des-ede3-cbc' } })
    }
  })
}

t.test('scep.post-body, scep.content-types: a message by POST is bare DER under its type', async (t) => {
  const sent: HttpRequest[] = []
  const server = scriptedServer()
  const transport = handlerTransport((request) => {
    sent.push(request)
    return server.handle(request)
  })
  const trust = { root: caCertificates.root }
  const jitter = { between: (minMs: number) => minMs }
  const habits = habitsOf('windows', '11', 'Wi-Fi')
  await scepProtocol({ urls: ['https://scep.example/scep'], habits, transport, trust, clock, jitter }).request({ csr, key }, signal)
  const posted = sent.find(({ method }) => method === 'POST')
  t.equal(posted?.headers['content-type'], scepFacts.postBody.value)
  t.equal(scepFacts.contentTypes.value.message, 'application/x-pki-message')
  t.equal(posted?.body?.[0], 0x30)
  t.equal(posted?.headers['transfer-encoding'], undefined)
})

const ciphers: readonly (readonly [factIds: string, PlatformName, capabilities: string, hash: string, cipher: string])[] = [
  ['android.scep.ciphers', 'android', 'DES3\nAES\nSHA-256\nSHA-512', 'sha512', 'aes-128-cbc'],
  ['android.scep.ciphers', 'android', 'DES3\nSHA-256', 'sha256', 'des-ede3-cbc'],
  ['scep.floor', 'android', '', 'sha256', 'aes-128-cbc'],
  ['scep.floor', 'windows', 'DES\nMD5', 'sha256', 'aes-128-cbc'],
]

for (const [factIds, platform, capabilities, hash, cipher] of ciphers) {
  t.test(`${factIds}: ${platform} and a CA of ${JSON.stringify(capabilities)}`, async (t) => {
    const { server, asked } = await enrol(platform, { capabilities })
    t.equal((await asked).status, 'issued')
    t.match(server.received[0], { message: { hash }, opened: { cipher } })
  })
}

t.test('windows.scep.authority-alone: a CA without RA certificates is asked too', async (t) => {
  const { server, asked } = await enrol('windows', { caCert: caCertificates.root })
  await asked.catch((error: unknown) => {
    if (!(error instanceof AgentError)) throw error
  })
  t.equal(server.calls.at(-1)?.split(' ')[1], 'PKIOperation', 'it gets the request')
})

const urls: readonly (readonly [factId: string, platform: PlatformName, url: string, taken: boolean])[] = [
  ['android.scep.url-query', 'android', 'https://a.example/scep?tenant=1', false],
  ['android.scep.url-query', 'android', 'https://a.example/scep#top', false],
  ['android.scep.url-query', 'android', 'https://a.example/scep', true],
  ['android.scep.url-query', 'windows', 'https://a.example/scep?tenant=1', true],
]

for (const [factId, platform, url, taken] of urls) {
  t.test(`${factId}: ${platform} ${taken ? 'takes' : 'refuses'} ${url}`, async (t) => {
    const adapter = platformAdapter(platform, bindings({ osVersion: osVersions[platform] }))
    const request = () => adapter.requestFor(scepProfile({ scepUrls: [url] }))
    if (taken) t.ok(request())
    else t.throws(request, { code: 'ERR_UNSUPPORTED', message: /no SCEP URL with a query or a fragment/ })
  })
}

t.test('windows.passport.smart-card: a profile for smart card logon cannot have its key in Passport', async (t) => {
  const adapter = platformAdapter('windows', bindings({ osVersion: '10' }))
  const extendedKeyUsages = ['1.3.6.1.5.5.7.3.2', '1.3.6.1.4.1.311.20.2.2']
  const profile = (keyStorage: 'usePassportForWorkKspOtherwiseFail' | 'useTpmKspOtherwiseFail', purposes = extendedKeyUsages) =>
    scepProfile({ request: { keyStorage, extendedKeyUsages: purposes } })
  t.throws(() => adapter.requestFor(profile('usePassportForWorkKspOtherwiseFail')), {
    code: 'ERR_UNSUPPORTED',
    message: /no keys for smart card logon.*windows\.passport\.smart-card/,
  })
  t.ok(adapter.requestFor(profile('useTpmKspOtherwiseFail')))
  t.ok(adapter.requestFor(profile('usePassportForWorkKspOtherwiseFail', ['1.3.6.1.5.5.7.3.2'])))
})

t.test('macos.pfx.mac-salt: the MAC of a PFX has a salt that macOS reads', async (t) => {
  const salt = says(macosFacts.pfxMacSalt, {})
  const { privateKey, certificate } = await pfxKey()
  for (const algorithms of ['modern', 'legacy'] as const) {
    const pfx = await buildPfx({ privateKey, certificates: [certificate], password: 'secret', algorithms, iterations: 2000 })
    // MacData ends the file: SEQUENCE { DigestInfo, OCTET STRING salt, INTEGER 2000 }.
    const tail = Buffer.from(pfx).subarray(-(salt + 6))
    t.same([...tail.subarray(0, 2)], [0x04, salt], algorithms)
    t.same([...tail.subarray(-4)], [0x02, 0x02, 0x07, 0xd0], algorithms)
  }
})

async function pfxKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { privateKey, certificate: await testCertificate({ subject: 'CN=pfx', key: softwareKeyHandle(privateKey, 'pfx') }) }
}
