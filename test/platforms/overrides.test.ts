import { appliesTo, behaviourOf, factOverrides, facts, isOverridable, parseOs, removalOf, treatmentOf } from '@certfleet/platforms'
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
  ['a fact that was read in its source', { 'apple.pending.polls': 4 }, /apple\.pending\.polls stands: it was read in its source \(A-DM/],
  ['a text for a number', { 'android.pending.polls': 'many' }, /only a whole number from 0/],
  ['a negative number', { 'android.pending.polls': -1 }, /only a whole number from 0/],
  ['a text of two lines', { 'android.scep.message': 'a\r\nb: c' }, /only a text of up to 256 printable ASCII characters/],
  ['a text switched off', { 'ios.scep.user-agent': 'off' }, /and not "off"/],
  ['a fact that nothing else can be said of', { 'key-type.rsa': 'ec' }, /key-type\.rsa stands: there is nothing else/],
  ['a number switched off', { 'android.pending.polls': 'off' }, /only a whole number from 0/],
  ['a value that is none of the alternatives', { 'windows.renewal.begun-by': 'moon' }, /only "device" or "check-in"/],
  ['a list in place of a list', { 'apple.pfx-applies': ['scep'] }, /only \["pfx"\] or "off"/],
] as const
for (const [name, values, message] of refused) {
  t.test(`refused: ${name}`, async (t) => {
    t.throws(() => factOverrides(values), { code: 'ERR_UNSUPPORTED', message })
  })
}

t.test('exactly the facts of confidence I, K or D, and those of one capture, give way, where anything else can be', async (t) => {
  for (const fact of facts) {
    const unsure = fact.confidence !== 'V' || fact.singleLog === true
    t.equal(isOverridable(fact), unsure && fact.alternatives?.length !== 0, fact.id)
    if (!unsure) t.equal(fact.alternatives, undefined, `${fact.id} has no alternatives`)
  }
})

/** Whatever is said instead is as good. */
const freeTexts = [
  'ios.scep.user-agent',
  'macos.scep.user-agent',
  'android.scep.user-agent',
  'windows.scep.user-agent',
  'android.scep.message',
  'windows.scep.message',
]

t.test('what is no number, switch or free text names its alternatives, and each can be said', async (t) => {
  for (const fact of facts.filter(isOverridable)) {
    const { id, value, alternatives = [] } = fact
    if (typeof value === 'object' || typeof value === 'string') t.equal(alternatives.length > 0, !freeTexts.includes(id), id)
    for (const alternative of alternatives) {
      t.notSame(alternative, value, `${id}: it is another`)
      t.same([...factOverrides({ [id]: alternative })], [[id, alternative]], id)
    }
  }
})

t.test('an exception to a setting or a removal can be said, and is acted on', async (t) => {
  const honoured = factOverrides({ 'key-storage.android-ignored': { treatment: 'honoured', setting: 'keyStorage' } })
  t.equal(treatmentOf('keyStorage', parseOs('android', '14', honoured)), 'honoured')
  const row = facts.find(({ id }) => id === 'removal.root-unassigned')?.alternatives?.[0]
  const stays = factOverrides({ 'removal.root-unassigned': row })
  t.equal(removalOf('trusted-root', 'unassigned', 'ios', '17').device, 'removed')
  t.equal(removalOf('trusted-root', 'unassigned', 'ios', '17', stays).device, 'stays')
})
