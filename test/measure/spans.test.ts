import { AsyncLocalStorage } from 'node:async_hooks'
import { AgentError } from '@certfleet/agent-core'
import { type Context, type ContextManager, context, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import t from 'tap'
import { loadedTracing, tracingBy } from '#emulator/measure/otel.ts'
import { noTracing, type Tracing } from '#emulator/measure/spans.ts'

const ios1 = { device: 'ios-1', platform: 'ios' } as const
const secret = 'hunter2'

/** What the SDK for Node brings. */
function contextManager(): ContextManager {
  const storage = new AsyncLocalStorage<Context>()
  const manager: ContextManager = {
    active: () => storage.getStore() ?? ROOT_CONTEXT,
    with: (active, work, self, ...args) => storage.run(active, () => work.call(self as never, ...args)),
    bind: (active, target) =>
      typeof target === 'function' ? (storage.run(active, () => AsyncLocalStorage.bind(target as never)) as never) : target,
    enable: () => manager,
    disable: () => manager,
  }
  return manager
}

context.setGlobalContextManager(contextManager())
t.teardown(() => context.disable())

async function spansOf(work: (tracing: Tracing) => Promise<unknown>): Promise<readonly ReadableSpan[]> {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  await work(tracingBy(provider.getTracer('certfleet')))
  return exporter.getFinishedSpans()
}

t.test('the steps of a device are children of its span', async (t) => {
  const spans = await spansOf(async (tracing) => {
    const pass = (device: string) =>
      tracing.span('device', { ...ios1, device }, async () => {
        await tracing.span('keygen', { ...ios1, device }, async () => 'a key')
        return tracing.span('PKIOperation', { ...ios1, device }, async () => 'a certificate')
      })
    t.strictSame(await Promise.all([pass('ios-1'), pass('ios-2')]), ['a certificate', 'a certificate'])
  })
  for (const device of ['ios-1', 'ios-2']) {
    const ours = spans.filter(({ attributes }) => attributes['certfleet.device'] === device)
    t.strictSame(
      ours.map(({ name }) => name),
      ['keygen', 'PKIOperation', 'device'],
    )
    const [keygen, operation, whole] = ours
    t.strictSame(whole?.attributes, { 'certfleet.device': device, 'certfleet.platform': 'ios' })
    t.strictSame(keygen?.attributes, { ...whole?.attributes, 'certfleet.step': 'keygen' })
    t.equal(whole?.parentSpanContext, undefined)
    for (const step of [keygen, operation]) {
      t.equal(step?.parentSpanContext?.spanId, whole?.spanContext().spanId)
      t.equal(step?.status.code, SpanStatusCode.UNSET)
    }
  }
})

t.test('a failure is told by its code, and thrown on as it is', async (t) => {
  const failures: [string, unknown, string][] = [
    ['of the agent', new AgentError('ERR_NETWORK', 'no connection', { cause: new Error(secret) }), 'ERR_NETWORK'],
    ['of others', new Error(secret), '_OTHER'],
    ['no error at all', secret, '_OTHER'],
  ]
  for (const [name, failure, type] of failures) {
    const spans = await spansOf(async (tracing) => {
      const thrown = await tracing.span('poll', ios1, () => Promise.reject(failure)).catch((error: unknown) => error)
      t.equal(thrown, failure, name)
      const early = () => {
        throw failure
      }
      t.equal(await tracing.span('poll', ios1, early).catch((error: unknown) => error), failure, `${name}, before the first wait`)
    })
    t.equal(spans.length, 2)
    for (const span of spans) {
      t.strictSame(span.status, { code: SpanStatusCode.ERROR, message: type }, name)
      t.equal(span.attributes['error.type'], type)
      const told = JSON.stringify([span.name, span.attributes, span.status, span.events, span.links])
      t.notOk(told.includes(secret), 'no message and no stack')
    }
  }
})

t.test('off', async (t) => {
  t.equal(await noTracing.span('poll', ios1, async () => 7), 7)
  await t.rejects(
    noTracing.span('poll', ios1, () => Promise.reject(new Error('x'))),
    { message: 'x' },
  )
})

t.test('asked for without an SDK', async (t) => {
  t.throws(loadedTracing, { name: 'InputError', message: /^--otel: no OpenTelemetry SDK is loaded/ })
})

t.test('asked for with an SDK, whose copy of the API is the one that certfleet has', async (t) => {
  const exporter = new InMemorySpanExporter()
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
  t.teardown(() => trace.disable())
  await loadedTracing().span('keygen', ios1, async () => {})
  t.equal(exporter.getFinishedSpans().length, 1)
})
