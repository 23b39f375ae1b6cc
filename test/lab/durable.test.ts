import { createLab, lmdbLabStore } from '@certfleet/emulator/lab'
import t from 'tap'
import { testKey } from '../fakes/certificates.ts'
import { challengeFor, enroll, enrolled, opensslVerify, register, start, startLab } from './surroundings.ts'

t.test('a lab that is opened again on its folder is the same lab', async (t) => {
  const folder = t.testdir()
  const before = await lmdbLabStore(folder)
  const { lab } = await startLab({ store: before, approve: ({ attemptId }) => (attemptId === 'slow' ? 'pending' : 'issue') })
  const credential = await register(lab)
  const [spent, unspent, slow] = await Promise.all(['spent', 'unspent', 'slow'].map((attempt) => challengeFor(lab, credential, attempt)))
  const certificate = await enrolled(lab, { key: await testKey('a'), challenge: spent })
  t.equal(await enroll(lab, { key: await testKey('c'), challenge: slow }), 'pending')
  await before.close()

  const after = await lmdbLabStore(folder)
  t.teardown(() => after.close())
  const { lab: reopened } = await startLab({ store: after })
  t.equal(reopened.caFingerprint, lab.caFingerprint)
  t.match([...reopened.issued()], [{ deviceId: 'device-1', attemptId: 'spent' }])
  t.same(
    reopened
      .audit()
      .map(({ event }) => event)
      .filter((event) => event !== 'challenge-issued'),
    ['registered', 'issued', 'pending'],
  )
  t.same(
    Buffer.from(await enrolled(reopened, { key: await testKey('a'), challenge: spent })),
    Buffer.from(certificate),
    'the same certificate again',
  )
  t.equal(await enroll(reopened, { key: await testKey('b'), challenge: spent }), 'badRequest', 'a spent challenge is still spent')
  t.equal(await challengeFor(reopened, credential, 'unspent'), unspent, 'the credential is good, the challenge the same')
  t.match(opensslVerify(t, reopened, await enrolled(reopened, { key: await testKey('b'), challenge: unspent }), start), /OK/)
  t.ok((await enroll(reopened, { key: await testKey('c'), challenge: slow })) instanceof Uint8Array, 'what was pending can be issued')
  t.equal([...reopened.issued()].length, 3)
})

t.test('a new folder gets a CA of its own, and a damaged record is named', async (t) => {
  const { clock } = await startLab()
  const options = { clock, policyFor: () => undefined, registrationToken: 'token', keyBits: 1024 }
  const store = await lmdbLabStore(t.testdir())
  t.teardown(() => store.close())
  const [first, second] = await Promise.all([createLab({ ...options, store }), createLab({ ...options, store })])
  t.equal(first.caFingerprint, second.caFingerprint, 'opened twice at once, it is one CA')
  const record = store.get('authority', 'lab')
  if (record)
    await store.transaction((tx) => tx.put('authority', 'lab', { ...record, issuing: { ...record.issuing, privateKey: Uint8Array.of(1) } }))
  await t.rejects(createLab({ ...options, store }), { code: 'ERR_STATE_INVALID' })
})
