import { backoffBounds, backoffMaxMs, backoffMinMs, renewAt, renewalWindowMs } from '@certfleet/agent-core'
import t from 'tap'

const day = 86_400_000

t.test('the renewal window is a share of the lifetime that remains (S24)', async (t) => {
  for (const [thresholdPercent, expected] of [
    [1, 1],
    [20, 20],
    [99, 99],
  ] as const) {
    t.equal(renewalWindowMs({ notBefore: 0, notAfter: 100 * day }, thresholdPercent), expected * day)
    t.equal(renewAt({ notBefore: 0, notAfter: 100 * day, renewalJitterMs: 0 }, thresholdPercent), (100 - expected) * day)
  }
  t.equal(renewalWindowMs({ notBefore: 0, notAfter: 60_000 }, 33), 19_800, 'a one-minute certificate')
})

t.test('backoff doubles from a minute to six hours', async (t) => {
  t.same(backoffBounds(1), { minMs: backoffMinMs / 2, maxMs: backoffMinMs })
  t.same(backoffBounds(2), { minMs: backoffMinMs, maxMs: backoffMinMs * 2 })
  t.same(backoffBounds(9), { minMs: backoffMinMs * 128, maxMs: backoffMinMs * 256 })
  t.same(backoffBounds(10), { minMs: backoffMaxMs / 2, maxMs: backoffMaxMs })
  t.same(backoffBounds(10_000), { minMs: backoffMaxMs / 2, maxMs: backoffMaxMs }, 'however long it goes on')
})
