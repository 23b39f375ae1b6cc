import { inspect } from 'node:util'
import t from 'tap'
import { CKF, CKM } from '#agent-core/keys/pkcs11/cryptoki.ts'
import { initialize } from '#agent-core/keys/pkcs11/module.ts'
import { agentErrorOf, isLost, Refusal, withRefusals } from '#agent-core/keys/pkcs11/refusal.ts'
import { openToken } from '#agent-core/keys/pkcs11/token.ts'
import { type FakeToken, fakeToken, moduleOf } from './pkcs11-fake.ts'

const pin = '1234'
const open = (token: FakeToken, given = pin) => openToken(moduleOf(token), 'fake', given)
const count = (token: FakeToken, step: string) => token.calls.filter((call) => call === step).length

t.test('what return values mean', async (t) => {
  const rows: [string, string][] = [
    ['PIN_INCORRECT', 'ERR_KEY_SECRET_REFUSED'],
    ['PIN_LEN_RANGE', 'ERR_KEY_SECRET_REFUSED'],
    ['PIN_INVALID', 'ERR_KEY_SECRET_REFUSED'],
    ['PIN_LOCKED', 'ERR_KEY_STORAGE_LOCKED_OUT'],
    ['TOKEN_NOT_PRESENT', 'ERR_KEY_STORAGE_UNAVAILABLE'],
    ['SLOT_ID_INVALID', 'ERR_KEY_STORAGE_UNAVAILABLE'],
    ['DEVICE_REMOVED', 'ERR_KEY_STORAGE_UNAVAILABLE'],
    ['VENDOR_DEFINED', 'ERR_KEY_STORAGE_UNAVAILABLE'],
    ['DEVICE_MEMORY', 'ERR_KEY_STORAGE_FULL'],
    ['SESSION_COUNT', 'ERR_KEY_STORAGE_BUSY'],
    ['FUNCTION_FAILED', 'ERR_KEY_STORAGE_BUSY'],
    ['GENERAL_ERROR', 'ERR_KEY_STORAGE_BUSY'],
    ['MECHANISM_INVALID', 'ERR_UNSUPPORTED'],
    ['KEY_SIZE_RANGE', 'ERR_UNSUPPORTED'],
  ]
  for (const [name, code] of rows) {
    const error = agentErrorOf(new Refusal('C_Sign', `CKR_${name}`), 'dev0')
    t.match(error, { code, message: `PKCS#11 token "dev0": C_Sign returned CKR_${name}` }, name)
  }
  const lost = ['SESSION_HANDLE_INVALID', 'OBJECT_HANDLE_INVALID', 'KEY_HANDLE_INVALID', 'USER_NOT_LOGGED_IN', 'DEVICE_REMOVED']
  for (const name of lost) t.ok(isLost(new Refusal('C_Sign', `CKR_${name}`)), name)
  t.notOk(isLost(new Refusal('C_Login', 'CKR_PIN_INCORRECT')))
})

t.test('opening logs in, and tells what the token makes', async (t) => {
  const token = fakeToken()
  const opened = open(token)
  t.equal(count(token, 'C_Login'), 1)
  t.strictSame(opened.facts, { manufacturer: 'nobody', rsaBits: { min: 1024, max: 3072 }, curves: ['P-256', 'P-384'], pkcs1: 'raw' })
  opened.close()
  t.equal(count(token, 'C_CloseSession'), 1)

  token.mechanisms = new Map([[CKM.RSA_PKCS, { minKeySize: 1, maxKeySize: 2, flags: CKF.DECRYPT }]])
  t.strictSame(open(token).facts, { manufacturer: 'nobody', curves: [], pkcs1: 'padded' }, 'what is not offered is not there')
  token.mechanisms.clear()
  t.equal(open(token).facts.pkcs1, 'never')
})

t.test('a PIN that is wrong is tried once, whatever is asked afterwards', async (t) => {
  const token = fakeToken()
  t.throws(() => open(token, '9999'), { code: 'ERR_KEY_SECRET_REFUSED', message: /C_Login returned CKR_PIN_INCORRECT/ })
  t.equal(count(token, 'C_Login'), 1)
  t.equal(count(token, 'C_CloseSession'), 1, 'its session is closed')

  const opened = open(token)
  token.pin = 'changed'
  token.pull()
  for (const _ of [1, 2, 3]) t.throws(() => opened.check(), { code: 'ERR_KEY_SECRET_REFUSED' })
  t.equal(count(token, 'C_Login'), 3, 'once at each opening, once when the session was lost')
})

t.test('a PIN is not spent where it could lock the token', async (t) => {
  const token = fakeToken()
  token.flags = CKF.USER_PIN_FINAL_TRY
  t.throws(() => open(token), { code: 'ERR_KEY_SECRET_REFUSED', message: /one wrong PIN from being locked/ })
  token.flags = CKF.USER_PIN_LOCKED
  t.throws(() => open(token), { code: 'ERR_KEY_STORAGE_LOCKED_OUT' })
  t.equal(count(token, 'C_Login'), 0)
})

t.test('a login of the embedder serves too', async (t) => {
  const token = fakeToken()
  token.refusals.set('C_Login', ['USER_ALREADY_LOGGED_IN'])
  t.doesNotThrow(() => open(token))
})

t.test('a token is found by its label alone', async (t) => {
  const token = fakeToken()
  token.copies = 0
  t.throws(() => open(token), { code: 'ERR_KEY_STORAGE_UNAVAILABLE', message: 'there is no PKCS#11 token "fake"' })
  token.copies = 1
  for (const name of ['TOKEN_NOT_RECOGNIZED', 'TOKEN_NOT_PRESENT', 'DEVICE_REMOVED']) {
    token.refusals.set('C_GetTokenInfo', [name])
    t.throws(() => open(token), { code: 'ERR_KEY_STORAGE_UNAVAILABLE', message: /no PKCS#11 token/ }, `a slot in trouble: ${name}`)
  }
  token.copies = 2
  t.throws(() => open(token), { code: 'ERR_KEY_STORAGE_UNAVAILABLE', message: '2 PKCS#11 tokens are labelled "fake"' })
})

t.test('a session that is lost is made again, once', async (t) => {
  const token = fakeToken()
  const opened = open(token)
  token.pull()
  const sessions = new Set<string>()
  const seen = opened.run(({ cryptoki, session }) => {
    sessions.add(session.toString('hex'))
    cryptoki.C_FindObjectsInit(session, [])
    return 'done'
  })
  t.equal(seen, 'done')
  t.equal(sessions.size, 1, 'before anything was asked of the old one')
  t.equal(count(token, 'C_Login'), 2)

  token.logout()
  opened.check()
  t.equal(count(token, 'C_Login'), 3, 'and so is a login')

  const before = count(token, 'C_OpenSession')
  token.refusals.set('C_FindObjectsInit', ['SESSION_HANDLE_INVALID', 'SESSION_HANDLE_INVALID'])
  const find = () => opened.run(({ cryptoki, session }) => cryptoki.C_FindObjectsInit(session, []))
  t.throws(find, { code: 'ERR_KEY_STORAGE_UNAVAILABLE', message: /CKR_SESSION_HANDLE_INVALID/ })
  t.equal(count(token, 'C_OpenSession') - before, 1)
})

t.test('any refusal ends the session, so that no operation that failed is left in it', async (t) => {
  const token = fakeToken()
  const opened = open(token)
  token.refusals.set('C_FindObjectsInit', ['OPERATION_ACTIVE'])
  const find = () => opened.run(({ cryptoki, session }) => cryptoki.C_FindObjectsInit(session, []))
  t.throws(find, { code: 'ERR_KEY_STORAGE_BUSY' })
  t.equal(count(token, 'C_CloseSession'), 1)
  t.doesNotThrow(find)
})

t.test('a library that does not even log in any more is started again', async (t) => {
  const token = fakeToken()
  const opened = open(token)
  token.pull()
  token.refusals.set('C_Login', ['GENERAL_ERROR', 'GENERAL_ERROR'])
  t.throws(() => opened.check(), { code: 'ERR_KEY_STORAGE_BUSY' }, 'the session was lost, and one more thing is tried, not two')
  opened.check()
  t.equal(count(token, 'C_Finalize'), 1)
  token.refusals.set('C_GetTokenInfo', ['CRYPTOKI_NOT_INITIALIZED'])
  opened.check()
  t.equal(count(token, 'C_Finalize'), 2)
})

t.test('a session of an earlier start is not taken for one of this start', async (t) => {
  const token = fakeToken()
  const module = moduleOf(token)
  const [first, second] = [openToken(module, 'fake', pin), openToken(module, 'fake', pin)]
  first.restart()
  const before = count(token, 'C_CloseSession')
  second.check()
  first.check()
  t.equal(count(token, 'C_OpenSession'), 4, 'each has one of its own again')
  t.equal(count(token, 'C_CloseSession'), before, 'and closed none, for its handle may be the other’s')
})

t.test('a first login that fails for no reason given may have been a wrong PIN, and is not asked again at once', async (t) => {
  const token = fakeToken()
  token.refusals.set('C_Login', ['FUNCTION_FAILED'])
  t.throws(() => open(token), { code: 'ERR_KEY_STORAGE_UNAVAILABLE', message: /C_Login returned CKR_FUNCTION_FAILED/ })
  t.equal(count(token, 'C_Login'), 1)
})

t.test('a bug stays a bug', async (t) => {
  const opened = open(fakeToken())
  const bug = new TypeError('not foreseen')
  t.throws(
    () =>
      opened.run(() => {
        throw bug
      }),
    bug,
  )
})

t.test('the PIN is shown by nothing', async (t) => {
  const canary = 'canary-81726'
  const token = fakeToken()
  token.pin = canary
  const opened = open(token, canary)
  t.equal(opened.isPin(canary), true)
  t.equal(opened.isPin('1234'), false)
  t.notMatch(inspect(opened, { depth: null, showHidden: true }), canary)
  token.pin = 'another'
  token.pull()
  try {
    open(token, canary)
    t.fail('it was refused')
  } catch (error) {
    t.notMatch(inspect(error, { depth: null, showHidden: true }), canary)
  }
})

t.test('the library is finished by who initialised it', async (t) => {
  const token = fakeToken()
  const cryptoki = withRefusals(token.cryptoki)
  const ours = initialize(cryptoki, '/p11.so', false)
  const others = initialize(cryptoki, '/p11.so', false)
  others.finish()
  t.equal(count(token, 'C_Finalize'), 0, 'it is somebody else’s')
  initialize(cryptoki, '/p11.so', true)
  t.equal(count(token, 'C_Finalize'), 1, 'what a thread that crashed left is finished first')
  ours.finish()
  t.equal(count(token, 'C_Finalize'), 2)
  token.refusals.set('C_Initialize', ['GENERAL_ERROR'])
  const message = 'the PKCS#11 library /p11.so cannot be used: C_Initialize returned CKR_GENERAL_ERROR'
  t.throws(() => initialize(cryptoki, '/p11.so', false), { code: 'ERR_KEY_STORAGE_UNAVAILABLE', message })
  const again = initialize(cryptoki, '/p11.so', false)
  token.refusals.set('C_Initialize', ['GENERAL_ERROR'])
  t.throws(() => again.restart(), { code: 'ERR_KEY_STORAGE_BUSY', message }, 'what has worked may come back')
})
