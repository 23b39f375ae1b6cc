import { getEventListeners } from 'node:events'
import { AgentError, type HttpRequest, type HttpResponse, type Transport } from '@certfleet/agent-core'
import type { Test } from 'tap'

export type Handler = (request: HttpRequest) => Promise<HttpResponse>

/** A transport with a limit of `maxResponseBytes` to a server at `url` (no slash at its end) that answers by `handler`. */
export type MakeTransport = (t: Test, handler: Handler, maxResponseBytes: number) => Promise<{ transport: Transport; url: string }>

const limit = 1000
const empty: HttpResponse = { status: 200, headers: {}, body: new Uint8Array() }

/** What every `Transport` promises (ports.ts). */
export async function transportContract(t: Test, make: MakeTransport): Promise<void> {
  await t.test('the request arrives: method, path, query, headers and every byte of the body', async (t) => {
    const seen: HttpRequest[] = []
    const record: Handler = async (request) => {
      seen.push(request)
      return empty
    }
    const { transport, url } = await make(t, record, limit)
    const body = Uint8Array.from({ length: 256 }, (_, i) => i)
    const target = `${url}/certsrv/mscep/mscep.dll/pkiclient.exe?operation=PKIOperation&message=MIIB%2Bw%3D%3D`
    await transport.send({ method: 'POST', url: target, headers: { 'x-device': 'a b' }, body })
    t.equal(seen[0]?.method, 'POST')
    t.equal(seen[0]?.url, target)
    t.equal(seen[0]?.headers['x-device'], 'a b')
    t.same([...(seen[0]?.body ?? [])], [...body])
  })
  for (const status of [200, 204, 302, 403, 404, 500, 503]) {
    await t.test(`status ${status} is a response, and nothing follows it`, async (t) => {
      let requests = 0
      const answer = { status, headers: { location: '/elsewhere' }, body: new Uint8Array() }
      const count: Handler = async () => {
        requests++
        return answer
      }
      const { transport, url } = await make(t, count, limit)
      const response = await transport.send({ method: 'GET', url: `${url}/`, headers: {} })
      t.equal(response.status, status)
      t.equal(response.headers.location, '/elsewhere')
      t.equal(requests, 1)
    })
  }
  await t.test('the body comes back byte for byte, as a Uint8Array', async (t) => {
    const body = Uint8Array.from({ length: 256 }, (_, i) => 255 - i)
    const { transport, url } = await make(t, async () => ({ status: 200, headers: {}, body }), limit)
    const response = await transport.send({ method: 'GET', url, headers: {} })
    t.ok(response.body instanceof Uint8Array)
    t.same([...response.body], [...body])
  })
  await t.test('a body of the limit is accepted, one byte more is ERR_LIMIT_EXCEEDED', async (t) => {
    const handler: Handler = async ({ url }) => ({ ...empty, body: new Uint8Array(limit + (url.includes('/more') ? 1 : 0)) })
    const { transport, url } = await make(t, handler, limit)
    t.equal((await transport.send({ method: 'GET', url: `${url}/limit`, headers: {} })).body.length, limit)
    await t.rejects(transport.send({ method: 'GET', url: `${url}/more?secret`, headers: {} }), {
      code: 'ERR_LIMIT_EXCEEDED',
      message: /^(?!.*secret)/,
    })
  })
  await t.test('an aborted signal rejects with its reason, and nothing stays on it', async (t) => {
    let silent: Handler = async () => empty
    const arrival = new Promise<void>((resolve) => {
      silent = () => {
        resolve()
        return new Promise(() => undefined)
      }
    })
    const { transport, url } = await make(t, silent, limit)
    const stop = new AbortController()
    const reason = new Error('stopped')
    const sent = transport.send({ method: 'GET', url, headers: {} }, stop.signal)
    await arrival
    stop.abort(reason)
    t.equal(await sent.catch((error) => error), reason)
    t.equal(getEventListeners(stop.signal, 'abort').length, 0)
    t.equal(await transport.send({ method: 'GET', url, headers: {} }, stop.signal).catch((error) => error), reason, 'aborted before')
  })
  await t.test('a response leaves nothing on the signal', async (t) => {
    const { transport, url } = await make(t, async () => empty, limit)
    const stop = new AbortController()
    await transport.send({ method: 'GET', url, headers: {} }, stop.signal)
    t.equal(getEventListeners(stop.signal, 'abort').length, 0)
  })
  for (const url of ['ftp://host/', 'file:///etc/passwd', '/relative', 'http://name:hidden@host/', '']) {
    await t.test(`"${url}" is no address for a request`, async (t) => {
      const { transport } = await make(t, async () => empty, limit)
      const error = await transport.send({ method: 'GET', url, headers: {} }).catch((error) => error)
      t.ok(error instanceof AgentError)
      t.equal(error.code, 'ERR_UNSUPPORTED')
      t.notMatch(error.message, /hidden/)
    })
  }
}
