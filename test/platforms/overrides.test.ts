import { appliesTo, behaviourOf, factOverrides, facts, isOverridable } from '@certfleet/platforms'
import t from 'tap'

t.test('a fact that is inferred or seen once gives way to what an embedder says', async (t) => {
  const overrides = factOverrides({ 'android.pending.polls': 7, 'android.scep.message': 'corp', 'windows.renewal.begun-by': 'check-in' })
  t.equal(behaviourOf('android', '13', overrides).pendingSchedule.polls, 7)
  t.equal(behaviourOf('android', '13', overrides).habits('x').message, 'corp')
  t.equal(behaviourOf('windows', '11', overrides).renewal.begunBy, 'check-in')
  t.equal(behaviourOf('android', '13').pendingSchedule.polls, 3, 'and without them nothing changes')
})

t.test('a fact that is switched off does not hold', async (t) => {
  const overrides = factOverrides({ 'apple.pfx-applies': 'off' })
  t.equal(appliesTo('pfx', 'ios', '17'), true)
  t.equal(appliesTo('pfx', 'ios', '17', overrides), false)
})

const refused = [
  ['an unknown fact', { 'windows.nonsense': 1 }, /there is no fact "windows\.nonsense"; certfleet facts lists them/],
  ['a fact that was read in its source', { 'apple.pending.polls': 4 }, /apple\.pending\.polls was read in its source and stands/],
  ['a text for a number', { 'android.pending.polls': 'many' }, /only a whole number from 0/],
  ['a negative number', { 'android.pending.polls': -1 }, /only a whole number from 0/],
  ['a number switched off', { 'android.pending.polls': 'off' }, /only a whole number from 0/],
  ['a value that is none of the alternatives', { 'windows.renewal.begun-by': 'moon' }, /only "device" or "check-in"/],
  ['a list in place of a list', { 'apple.pfx-applies': ['scep'] }, /only "off"/],
] as const
for (const [name, values, message] of refused) {
  t.test(`refused: ${name}`, async (t) => {
    t.throws(() => factOverrides(values), { code: 'ERR_UNSUPPORTED', message })
  })
}

t.test('exactly the facts of confidence I, K or D, and those of one capture, give way', async (t) => {
  for (const fact of facts) t.equal(isOverridable(fact), fact.confidence !== 'V' || fact.singleLog === true, fact.id)
})
