import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { connectPush, httpTransport, registerDevice } from '@certfleet/agent-core'
import { systemClock, systemJitter } from '@certfleet/agent-core/system'
import { type Lab, type ServedLab, serveLab } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { request } from 'undici'
import { WebSocket } from 'ws'
import { register, registrationToken, startLab } from './surroundings.ts'

async function serve(t: Test, lab: Lab): Promise<ServedLab> {
  const served = await serveLab(lab)
  t.teardown(() => served.close())
  return served
}

const hasIpv6 = () => Object.values(networkInterfaces()).some((own) => own?.some(({ address }) => address === '::1'))

const upgrade = (url: string, headers: Record<string, string>) =>
  new Promise<number>((resolve, reject) => {
    const socket = new WebSocket(url.replace('http', 'ws'), { headers })
    socket.on('unexpected-response', (_, { statusCode = 0 }) => {
      socket.terminate()
      resolve(statusCode)
    })
    socket.on('open', () => {
      socket.terminate()
      resolve(101)
    })
    socket.on('error', reject)
  })

t.test('what is served is what the lab answers', async (t) => {
  const { lab } = await startLab()
  const { url, scepUrl, policyUrl } = await serve(t, lab)
  t.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
  t.equal(scepUrl, `${url}/certsrv/mscep/mscep.dll`)
  t.equal(policyUrl, `${url}/device/policy`)
  const longUrl = (length: number) => `${url}${'/scep?operation=GetCACaps&x='.padEnd(length, 'a')}`
  const rows: [string, string, string, number, Uint8Array?][] = [
    ['the health probe (S57)', 'GET', scepUrl, 403],
    ['capabilities', 'GET', `${scepUrl}?operation=GetCACaps`, 200],
    ['an unknown path', 'GET', `${url}/`, 404],
    ['HEAD', 'HEAD', scepUrl, 405],
    ['PUT', 'PUT', scepUrl, 405, Buffer.from('x')],
    ['the policy without a credential', 'GET', policyUrl, 401],
    ['push without an upgrade', 'GET', `${url}/device/push`, 401],
    ['a URL of 65534 characters (S56)', 'GET', longUrl(65_534), 200],
    ['a URL of 65535 characters', 'GET', longUrl(65_535), 414],
    ['a body of 1 MiB', 'POST', `${scepUrl}?operation=PKIOperation`, 400, new Uint8Array(1024 * 1024)],
    ['a larger body', 'POST', `${scepUrl}?operation=PKIOperation`, 413, new Uint8Array(1024 * 1024 + 1)],
  ]
  for (const [name, method, target, status, body] of rows) {
    const response = await request(target, { method: method as 'GET', body: body ?? null })
    await response.body.dump()
    t.equal(response.statusCode, status, name)
  }
})

t.test('the push channel opens for a credential only, and wakes', async (t) => {
  const { lab } = await startLab()
  const { url, policyUrl } = await serve(t, lab)
  const authorization = `Bearer ${await register(lab)}`
  t.equal(await upgrade(`${url}/device/push`, {}), 401)
  t.equal(await upgrade(`${url}/device/push`, { authorization: 'Bearer guess' }), 401)
  t.equal(await upgrade(`${url}/device/push`, { authorization, origin: 'https://page.example' }), 403)
  t.equal(await upgrade(`${url}/device/policy`, { authorization }), 404)
  t.equal(await upgrade(`${url}/device/push`, { authorization }), 101)

  const wakes: (() => void)[] = []
  const woken = () => new Promise<void>((resolve) => wakes.push(resolve))
  const connected = woken()
  const channel = connectPush({
    policyUrl,
    credential: authorization.slice('Bearer '.length),
    clock: systemClock,
    jitter: systemJitter,
    onWake: () => wakes.shift()?.(),
  })
  t.teardown(() => channel.close())
  await connected
  const again = woken()
  t.ok(lab.wake('device-1') >= 1)
  await again
})

t.test('an overlong push message ends the connection, and a new credential does', async (t) => {
  const { lab } = await startLab()
  const { url } = await serve(t, lab)
  for (const end of ['message', 'rotation'] as const) {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/device/push`, {
      headers: { authorization: `Bearer ${await register(lab)}` },
    })
    await new Promise((resolve) => socket.once('open', resolve))
    const closed = new Promise((resolve) => socket.once('close', resolve))
    if (end === 'message') socket.send(new Uint8Array(4097))
    else await register(lab)
    await closed
    t.pass(end)
  }
})

t.test('a device registers over a socket', async (t) => {
  const { lab } = await startLab()
  const { policyUrl } = await serve(t, lab)
  const transport = httpTransport({ allowLoopback: true })
  t.teardown(() => transport.close())
  const registration = await registerDevice({
    policyUrl,
    transport,
    registrationToken,
    deviceId: 'device-1',
    platform: 'ios',
    osVersion: '18',
  })
  t.match(registration, { deviceId: 'device-1', credential: /^[\w-]{43}$/ })
})

t.test('a bug in a handler is a 500 without a word, and is told to the owner', async (t) => {
  const { lab } = await startLab()
  const bug = new TypeError('secret detail')
  const told: unknown[] = []
  const served = await serveLab({ ...lab, handle: () => Promise.reject(bug) }, { onError: (error) => told.push(error) })
  t.teardown(() => served.close())
  const response = await request(served.policyUrl)
  t.equal(response.statusCode, 500)
  t.equal(await response.body.text(), '')
  t.same(told, [bug])
})

t.test('close ends what is open, half-sent requests and push connections included', async (t) => {
  const { lab } = await startLab()
  const served = await serveLab(lab)
  const half = connect(Number(new URL(served.url).port), '127.0.0.1')
  half.on('error', () => {})
  await new Promise<void>((resolve) => half.write('GET /scep HTTP/1.1\r\nhost:', () => resolve()))
  const socket = new WebSocket(`${served.url.replace('http', 'ws')}/device/push`, {
    headers: { authorization: `Bearer ${await register(lab)}` },
  })
  await new Promise((resolve) => socket.once('open', resolve))
  const ended = Promise.all([
    new Promise((resolve) => half.once('close', resolve)),
    new Promise((resolve) => socket.once('close', resolve)),
  ])
  await Promise.all([served.close(), served.close()])
  await ended
  await t.rejects(request(served.policyUrl), { code: 'ECONNREFUSED' })
})

t.test('a port that is taken is said', async (t) => {
  const { lab } = await startLab()
  const { url } = await serve(t, lab)
  await t.rejects(serveLab(lab, { port: Number(new URL(url).port) }), { code: 'EADDRINUSE' })
})

t.test('it serves the address that is asked for, and no other', async (t) => {
  const { lab } = await startLab()
  const served = await serveLab(lab, { host: '127.0.0.2' })
  t.teardown(() => served.close())
  const { hostname, port } = new URL(served.url)
  t.equal(hostname, '127.0.0.2')
  t.match(served.policyUrl, `http://127.0.0.2:${port}/`)
  t.match(await request(served.policyUrl), { statusCode: 401 })
  await t.rejects(request(served.policyUrl.replace(hostname, '127.0.0.1')), { code: 'ECONNREFUSED' })
  await t.rejects(serveLab(lab, { host: '192.0.2.1' }), { code: 'EADDRNOTAVAIL' })
})

t.test('an IPv6 address stands in brackets', { skip: !hasIpv6() && 'this machine has no ::1' }, async (t) => {
  const { lab } = await startLab()
  const served = await serveLab(lab, { host: '::1' })
  t.teardown(() => served.close())
  t.match(served.url, /^http:\/\/\[::1\]:\d+$/)
  t.match(await request(served.policyUrl), { statusCode: 401 })
})
