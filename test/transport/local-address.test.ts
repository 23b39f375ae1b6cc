import { AgentError, httpTransport } from '@certfleet/agent-core'
import t, { type Test } from 'tap'
import { localAddressProblem } from '#agent-core/transport/local-address.ts'
import { serve } from './server.ts'

const get = (url: string) => ({ method: 'GET', url, headers: {} }) as const

t.test('which addresses are near the device', async (t) => {
  const rows: [string, 'loopback' | 'link-local' | undefined][] = [
    ['127.0.0.1', 'loopback'],
    ['127.255.255.255', 'loopback'],
    ['126.255.255.255', undefined],
    ['128.0.0.0', undefined],
    ['0.0.0.0', 'loopback'],
    ['1.0.0.0', undefined],
    ['169.254.0.0', 'link-local'],
    ['169.254.169.254', 'link-local'],
    ['169.253.255.255', undefined],
    ['169.255.0.0', undefined],
    ['100.100.100.200', 'link-local'],
    ['100.100.100.201', undefined],
    ['10.0.0.1', undefined],
    ['192.168.1.1', undefined],
    ['::1', 'loopback'],
    ['::', 'loopback'],
    ['::2', 'loopback'],
    ['fe80::1', 'link-local'],
    ['fe80::1%eth0', 'link-local'],
    ['febf:ffff::1', 'link-local'],
    ['fec0::1', undefined],
    ['fd00:ec2::254', 'link-local'],
    ['fd00:ec2::253', undefined],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:a9fe:a9fe', 'link-local'],
    ['::ffff:8.8.8.8', undefined],
    ['::127.0.0.1', 'loopback'],
    ['::ffff:0:127.0.0.1', 'loopback'],
    ['64:ff9b::7f00:1', 'loopback'],
    ['64:ff9b::a9fe:a9fe', 'link-local'],
    ['64:ff9b::808:808', undefined],
    ['2001:db8::7f00:1', undefined],
  ]
  for (const [address, kind] of rows) {
    t.match(localAddressProblem(address, {}) ?? '', kind ? new RegExp(`^a ${kind} address`) : /^$/, address)
    t.equal(localAddressProblem(address, { allowLoopback: true, allowLinkLocal: true }), undefined, `${address} by option`)
    if (kind === 'loopback') t.equal(localAddressProblem(address, { allowLoopback: true }), undefined, `${address} with allowLoopback`)
    if (kind === 'link-local') t.ok(localAddressProblem(address, { allowLoopback: true }), `${address} needs its own option`)
  }
})

t.test('no address near the device is asked, however it is written', async (t) => {
  let requests = 0
  const url = await serve(t, (_, response) => {
    requests++
    response.end()
  })
  const { port } = new URL(url)
  const rows: [string, string, string][] = [
    ['in dots', `http://127.0.0.1:${port}/`, 'ERR_UNSUPPORTED'],
    ['as a decimal number', `http://2130706433:${port}/`, 'ERR_UNSUPPORTED'],
    ['in hexadecimal', `http://0x7f.1:${port}/`, 'ERR_UNSUPPORTED'],
    ['in octal', `http://0177.0.0.1:${port}/`, 'ERR_UNSUPPORTED'],
    ['in full-width digits', `http://１２７.0.0.1:${port}/`, 'ERR_UNSUPPORTED'],
    ['as the unspecified address', `http://0:${port}/`, 'ERR_UNSUPPORTED'],
    ['as IPv6', `http://[::1]:${port}/`, 'ERR_UNSUPPORTED'],
    ['as IPv4 in IPv6', `http://[::ffff:127.0.0.1]:${port}/`, 'ERR_UNSUPPORTED'],
    ['the metadata service', 'http://169.254.169.254/latest/meta-data/', 'ERR_UNSUPPORTED'],
    ['the metadata service as a number', 'http://2852039166/', 'ERR_UNSUPPORTED'],
    ['by a name that resolves to it', `http://localhost:${port}/`, 'ERR_NETWORK'],
    ['by the same name with a dot', `http://localhost.:${port}/`, 'ERR_NETWORK'],
    ['another scheme', 'file:///etc/passwd', 'ERR_UNSUPPORTED'],
  ]
  const transport = open(t)
  for (const [name, target, code] of rows) await t.rejects(transport.send(get(target)), { code }, name)
  t.equal(requests, 0, 'nobody was asked')
})

t.test('with its option loopback is asked, and a redirect to elsewhere is not followed', async (t) => {
  const url = await serve(t, (_, response) => response.writeHead(302, { location: 'http://169.254.169.254/' }).end())
  const transport = open(t, { allowLoopback: true })
  t.match(await transport.send(get(url)), { status: 302 })
  t.match(await transport.send(get(url.replace('127.0.0.1', 'localhost'))), { status: 302 }, 'by name too')
  await t.rejects(transport.send(get('http://169.254.169.254/')), { code: 'ERR_UNSUPPORTED' })
})

t.test('a name that does not resolve is ERR_NETWORK', async (t) => {
  const error = await open(t)
    .send(get('http://nowhere.invalid/?secret'))
    .catch((error: unknown) => error)
  t.ok(error instanceof AgentError && error.code === 'ERR_NETWORK')
  t.notMatch(String(error), /secret/)
})

function open(t: Test, options = {}) {
  const transport = httpTransport(options)
  t.teardown(() => transport.close())
  return transport
}
