import { constants, createHash, generateKeyPairSync, type KeyObject, privateDecrypt, privateEncrypt, sign } from 'node:crypto'
import { type Attribute, CKA, CKF, CKM, CKO, type Cryptoki, type Handle } from '#agent-core/keys/pkcs11/cryptoki.ts'
import { initialize, type Module } from '#agent-core/keys/pkcs11/module.ts'
import { withRefusals } from '#agent-core/keys/pkcs11/refusal.ts'

export interface FakeObject {
  readonly attributes: Map<number, Buffer>
  readonly privateKey?: KeyObject
}

export interface FakeToken {
  readonly cryptoki: Cryptoki
  /** What was called, in order, with its first arguments where they tell something. */
  readonly calls: string[]
  /** What the token keeps, by handle. */
  readonly objects: Map<number, FakeObject>
  pin: string
  label: string
  flags: number
  /** Slots that hold a token of this label. */
  copies: number
  mechanisms: Map<number, { minKeySize: number; maxKeySize: number; flags: number }>
  /** Return values of the next calls of a function, ahead of what it would do. */
  readonly refusals: Map<string, string[]>
  /** The handle that everything is found under, as tpm2-pkcs11 does, until the library is started anew. */
  confusion: number | undefined
  /** What the token makes of the template of a private key. */
  bend(attributes: Map<number, Buffer>): void
  /** Ends every session, as pulling the token out does. */
  pull(): void
  /** What another user of the same library may do. */
  logout(): void
}

const both = { minKeySize: 1024, maxKeySize: 3072, flags: CKF.DECRYPT }
const curve = { minKeySize: 256, maxKeySize: 384, flags: 0 }

/** A PKCS#11 library with one token: real keys, and whatever return values a test wants. */
export function fakeToken(): FakeToken {
  const sessions = new Set<number>()
  const operations = new Map<number, { mechanism: number; key: FakeObject }>()
  let isLoggedIn = false
  let found: Handle[] = []
  let last = 0
  let lastSession = 0
  let isInitialized = false

  const token: FakeToken = {
    calls: [],
    objects: new Map(),
    pin: '1234',
    label: 'fake',
    flags: 0,
    copies: 1,
    mechanisms: new Map([
      [CKM.RSA_PKCS_KEY_PAIR_GEN, both],
      [CKM.RSA_PKCS, both],
      [CKM.RSA_X_509, both],
      [CKM.RSA_PKCS_OAEP, both],
      [CKM.EC_KEY_PAIR_GEN, curve],
      [CKM.ECDSA, curve],
    ]),
    refusals: new Map(),
    confusion: undefined,
    bend: () => undefined,
    pull() {
      sessions.clear()
      isLoggedIn = false
    },
    logout() {
      isLoggedIn = false
    },
    cryptoki: undefined as unknown as Cryptoki,
  }

  const refuse = (returnValue: string): never => {
    throw new Error(`CKR_${returnValue}:1`)
  }
  const use = (session: Handle): number => {
    const number = session.readUInt32LE()
    return sessions.has(number) ? number : refuse('SESSION_HANDLE_INVALID')
  }
  const objectOf = (handle: Handle): FakeObject => token.objects.get(handle.readUInt32LE()) ?? refuse('OBJECT_HANDLE_INVALID')
  const add = (attributes: readonly Attribute[], more: Partial<FakeObject> = {}): Handle => {
    last += 1
    token.objects.set(last, { attributes: new Map(attributes.map(({ type, value }) => [type, encoded(value)])), ...more })
    return handleOf(last)
  }

  const functions: Cryptoki = {
    load: () => undefined,
    C_Initialize() {
      if (isInitialized) refuse('CRYPTOKI_ALREADY_INITIALIZED')
      isInitialized = true
    },
    C_Finalize() {
      isInitialized = false
      lastSession = 0
      token.confusion = undefined
      token.pull()
    },
    C_GetSlotList: () => Array.from({ length: token.copies }, (_, slot) => handleOf(slot)),
    C_GetTokenInfo: () => ({ label: token.label.padEnd(32), manufacturerID: 'nobody'.padEnd(32), flags: token.flags }),
    C_GetMechanismList: () => [...token.mechanisms.keys()],
    C_GetMechanismInfo: (_slot, mechanism) => token.mechanisms.get(mechanism) ?? refuse('MECHANISM_INVALID'),
    C_OpenSession() {
      lastSession += 1
      sessions.add(lastSession)
      return handleOf(lastSession)
    },
    C_CloseSession(session) {
      sessions.delete(use(session))
      if (sessions.size === 0) isLoggedIn = false
    },
    C_GetSessionInfo: (session) => ({ state: use(session) && isLoggedIn ? 3 : 2 }),
    C_Login(session, _userType, pin) {
      use(session)
      if (isLoggedIn) refuse('USER_ALREADY_LOGGED_IN')
      if (pin !== token.pin) refuse('PIN_INCORRECT')
      isLoggedIn = true
    },
    C_GenerateKeyPair(session, { mechanism }, publicTemplate, privateTemplate) {
      use(session)
      if (!isLoggedIn) refuse('USER_NOT_LOGGED_IN')
      const wanted = (type: number) => publicTemplate.find((attribute) => attribute.type === type)?.value
      const isRsa = mechanism === CKM.RSA_PKCS_KEY_PAIR_GEN
      const named = Buffer.from((wanted(CKA.EC_PARAMS) as Buffer | undefined) ?? []).length === 10 ? 'P-256' : 'P-384'
      const { privateKey } = isRsa
        ? generateKeyPairSync('rsa', { modulusLength: wanted(CKA.MODULUS_BITS) as number })
        : generateKeyPairSync('ec', { namedCurve: named })
      const publicKey = add([...publicTemplate, { type: CKA.CLASS, value: CKO.PUBLIC_KEY }, ...publicAttributes(privateKey)])
      const history = [CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE].map((type) => ({ type, value: true }))
      const handle = add([...privateTemplate, { type: CKA.CLASS, value: CKO.PRIVATE_KEY }, ...history], { privateKey })
      token.bend(objectOf(handle).attributes)
      return { publicKey, privateKey: handle }
    },
    C_FindObjectsInit(session, template) {
      use(session)
      const isSeen = ({ attributes }: FakeObject) => isLoggedIn || attributes.get(CKA.PRIVATE)?.[0] !== 1
      const matches = ({ attributes }: FakeObject) => template.every(({ type, value }) => attributes.get(type)?.equals(encoded(value)))
      found = [...token.objects]
        .filter(([, object]) => isSeen(object) && matches(object))
        .map(([number]) => handleOf(token.confusion ?? number))
    },
    C_FindObjects: (session, maxObjects) => found.splice(0, use(session) && maxObjects),
    C_FindObjectsFinal: (session) => void use(session),
    C_GetAttributeValue(session, object, template) {
      use(session)
      return template.map(({ type }) => ({ value: objectOf(object).attributes.get(type) ?? refuse('ATTRIBUTE_TYPE_INVALID') }))
    },
    C_DestroyObject(session, object) {
      use(session)
      objectOf(object)
      token.objects.delete(object.readUInt32LE())
    },
    C_SignInit(session, { mechanism }, key) {
      operations.set(use(session), { mechanism, key: objectOf(key) })
    },
    C_Sign(session, data) {
      const { mechanism, key } = operations.get(use(session)) ?? refuse('OPERATION_NOT_INITIALIZED')
      const privateKey = key.privateKey as KeyObject
      if (mechanism === CKM.RSA_PKCS) return privateEncrypt({ key: privateKey, padding: constants.RSA_PKCS1_PADDING }, data)
      return ecdsaOverDigest(privateKey, data)
    },
    C_SignFinal: () => refuse('OPERATION_NOT_INITIALIZED'),
    C_DecryptInit(session, { mechanism, parameter }, key) {
      if (mechanism === CKM.RSA_PKCS_OAEP && parameter?.hashAlg !== CKM.SHA_1) refuse('ARGUMENTS_BAD')
      operations.set(use(session), { mechanism, key: objectOf(key) })
    },
    C_Decrypt(session, data) {
      const { mechanism, key } = operations.get(use(session)) ?? refuse('OPERATION_NOT_INITIALIZED')
      return decrypted(mechanism, key.privateKey as KeyObject, data) ?? refuse('ENCRYPTED_DATA_INVALID')
    },
    C_DecryptFinal: () => refuse('OPERATION_NOT_INITIALIZED'),
  }

  Object.assign(token, {
    cryptoki: new Proxy(functions, {
      get:
        (target, step: keyof Cryptoki) =>
        (...args: unknown[]) => {
          token.calls.push(step)
          const returnValue = token.refusals.get(step)?.shift()
          if (returnValue !== undefined) refuse(returnValue)
          return (target[step] as (...args: unknown[]) => unknown)(...args)
        },
    }),
  })
  return token
}

/** As tokens do, without leading zeros in what the raw operation gives. */
function decrypted(mechanism: number, key: KeyObject, data: Buffer): Buffer | undefined {
  try {
    if (mechanism === CKM.RSA_PKCS_OAEP) return privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' }, data)
    const raw = privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, data)
    if (mechanism === CKM.RSA_X_509) return raw.subarray(raw.findIndex((octet) => octet !== 0))
    const end = raw.indexOf(0, 2)
    return raw[0] === 0 && raw[1] === 2 && end >= 10 ? raw.subarray(end + 1) : undefined
  } catch {
    return undefined
  }
}

/** node:crypto signs data only: the digests of these tests are of this text. */
export const signedText = Buffer.from('to be signed')

function ecdsaOverDigest(key: KeyObject, digest: Buffer): Buffer {
  const hash = ['sha1', 'sha256', 'sha384', 'sha512'].find((name) =>
    createHash(name).update(signedText).digest().subarray(0, digest.length).equals(digest),
  )
  return sign(hash, signedText, { key, dsaEncoding: 'ieee-p1363' })
}

function publicAttributes(privateKey: KeyObject): Attribute[] {
  const { n, e, x, y } = privateKey.export({ format: 'jwk' })
  const bytes = (text = '') => Buffer.from(text, 'base64url')
  if (n !== undefined) {
    return [
      { type: CKA.MODULUS, value: bytes(n) },
      { type: CKA.PUBLIC_EXPONENT, value: bytes(e) },
    ]
  }
  const point = Buffer.concat([Buffer.of(4), bytes(x), bytes(y)])
  return [{ type: CKA.EC_POINT, value: Buffer.concat([Buffer.of(4, point.length), point]) }]
}

function handleOf(number: number): Handle {
  const handle = Buffer.alloc(8)
  handle.writeUInt32LE(number)
  return handle
}

function encoded(value: Attribute['value']): Buffer {
  if (Buffer.isBuffer(value)) return value
  if (typeof value === 'string') return Buffer.from(value)
  return typeof value === 'boolean' ? Buffer.of(value ? 1 : 0) : handleOf(value)
}

/** The library as its thread has it. */
export function moduleOf({ cryptoki }: FakeToken): Module {
  return initialize(withRefusals(cryptoki), '/fake.so', false)
}
