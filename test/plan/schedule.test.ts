import {
  backoffBounds,
  backoffFirstMs,
  backoffMaxMs,
  backoffMinMs,
  jitterShareOfWindow,
  planActions,
  renewAt,
  renewalWindowMs,
} from '@certfleet/agent-core'
import t from 'tap'
import { day, having, policy, profile, simple } from './samples.ts'

const minute = 60_000
const issuedAt = Date.UTC(2027, 0, 1)
/** RFC 5280 4.1.2.5: a certificate without an end. */
const forever = Date.UTC(9999, 11, 31, 23, 59, 59)

const lifetimes: [name: string, notBefore: number, notAfter: number][] = [
  ['100 days', issuedAt, issuedAt + 100 * day],
  ['a day and a millisecond', issuedAt, issuedAt + day + 1],
  ['an odd number of milliseconds', issuedAt, issuedAt + 1_234_567_891],
  ['seven days less a second', issuedAt, issuedAt + 7 * day - 1000],
  ['one minute', issuedAt, issuedAt + minute],
  ['until 9999', issuedAt, forever],
  ['backdated by a year', issuedAt - 365 * day, issuedAt + 10 * day],
]

for (const [name, notBefore, notAfter] of lifetimes) {
  for (const thresholdPercent of [1, 20, 99]) {
    t.test(`${name}, threshold ${thresholdPercent}`, async (t) => {
      const windowMs = renewalWindowMs({ notBefore, notAfter }, thresholdPercent)
      const longestJitterMs = Math.floor(windowMs * jitterShareOfWindow)
      t.ok(windowMs <= ((notAfter - notBefore) * thresholdPercent) / 100 && windowMs > 0, 'the share that remains, never more')
      const asked = { ...policy, scepProfiles: [{ ...profile, renewalThresholdPercent: thresholdPercent }] }
      const kinds = (renewalJitterMs: number, now: number) =>
        planActions(asked, having({ notBefore, notAfter, renewalJitterMs }), now, simple).actions.map(({ kind }) => kind)
      for (const jitterMs of [0, 1, longestJitterMs]) {
        const dueAt = notAfter - windowMs + Math.min(jitterMs, longestJitterMs)
        t.same(kinds(jitterMs, dueAt - 1), [], `jitter ${jitterMs}: one millisecond before`)
        t.same(kinds(jitterMs, dueAt), ['renew'], `jitter ${jitterMs}: on it`)
        t.equal(planActions(asked, having({ notBefore, notAfter, renewalJitterMs: jitterMs }), notBefore, simple).wakeAt, dueAt)
      }
      t.same(kinds(0, notAfter - 1), ['renew'], 'the last millisecond')
      t.same(
        kinds(longestJitterMs * 100, notAfter - 1),
        ['renew'],
        'a jitter that is too long reaches a tenth of the window and no further',
      )
    })
  }
}

t.test('renewal.threshold: threshold 20 on 100 days: not at 79.9 days, and at 80 (S24)', async (t) => {
  const at = (days: number) => planActions(policy, having({}), days * day, simple).actions.map(({ kind }) => kind)
  t.same(at(79.9), [])
  t.same(at(80), ['renew'])
})

t.test('a jitter drawn in a wide window delays by a tenth of the narrow one that an edit left', async (t) => {
  const certificate = { notBefore: 0, notAfter: 100 * day, renewalJitterMs: 9.9 * day }
  t.equal(renewAt(certificate, 99), 1 * day + 9.9 * day)
  t.equal(renewAt(certificate, 1), 99 * day + 0.1 * day)
})

t.test('backoff: full jitter over a doubling delay, from a minute to six hours', async (t) => {
  t.same([backoffMinMs, backoffFirstMs, backoffMaxMs], [30_000, 60_000, 6 * 3_600_000])
  t.same(backoffBounds(1), { minMs: backoffMinMs, maxMs: backoffFirstMs })
  t.same(backoffBounds(2), { minMs: backoffMinMs, maxMs: backoffFirstMs * 2 })
  t.same(backoffBounds(9), { minMs: backoffMinMs, maxMs: backoffFirstMs * 256 })
  t.same(backoffBounds(10), { minMs: backoffMinMs, maxMs: backoffMaxMs })
  t.same(backoffBounds(10_000), { minMs: backoffMinMs, maxMs: backoffMaxMs }, 'however long it goes on')
})
