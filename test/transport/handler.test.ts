import { AgentError, handlerTransport } from '@certfleet/agent-core'
import t from 'tap'
import { transportContract } from '../contracts/transport.ts'

await transportContract(t, async (_, handler, maxResponseBytes) => ({
  transport: handlerTransport(handler, { maxResponseBytes }),
  url: 'http://lab.invalid',
}))

await t.test('a handler can play a network that fails', async (t) => {
  const failure = new AgentError('ERR_NETWORK', 'the cable is out')
  const transport = handlerTransport(() => Promise.reject(failure))
  t.equal(await transport.send({ method: 'GET', url: 'http://lab.invalid/', headers: {} }).catch((error) => error), failure)
})
