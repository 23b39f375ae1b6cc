import { constants, createPublicKey, generateKeyPair, type KeyObject, privateDecrypt, randomBytes, sign } from 'node:crypto'
import { promisify } from 'node:util'
import { AgentError } from '../errors.ts'
import type { KeyHandle, KeyStorageProvider, UnwrapPadding } from '../ports.ts'
import type { HashName, KeySpec } from '../types.ts'
import { unwrapPkcs1 } from './pkcs1-unpad.ts'

const generatePair = promisify(generateKeyPair)
const signOnPool = promisify(sign) as (hash: string, data: Uint8Array, key: KeyObject) => Promise<Buffer>

/** Keys in this process's memory, gone with it: the software KSP (S29). Makes RSA of 1024 to 8192 bits in steps of 8, P-256 and P-384. */
export function softwareKeys(): KeyStorageProvider {
  const handles = new Map<string, Promise<KeyHandle>>()
  return {
    protection: 'software',
    supports,
    async generate(spec, label) {
      if (handles.has(label)) throw new AgentError('ERR_KEY_EXISTS', `a key with label "${label}" exists`)
      if (!supports(spec)) throw new AgentError('ERR_UNSUPPORTED', `software keys cannot be ${JSON.stringify(spec)}`)
      const handle = generatePrivateKey(spec).then((privateKey) => softwareKeyHandle(privateKey, label))
      handles.set(label, handle)
      // Without this a key that could not be made would keep its label taken.
      handle.catch(() => handles.delete(label))
      return handle
    },
    async open(label) {
      return handles.get(label)
    },
    async list() {
      return [...handles.keys()]
    },
    async destroy(label) {
      handles.delete(label)
    },
  }
}

function supports(spec: KeySpec): boolean {
  if (spec.algorithm === 'ec') return spec.curve === 'P-256' || spec.curve === 'P-384'
  return Number.isInteger(spec.bits) && spec.bits >= 1024 && spec.bits <= 8192 && spec.bits % 8 === 0
}

async function generatePrivateKey(spec: KeySpec): Promise<KeyObject> {
  const pair = spec.algorithm === 'rsa' ? generatePair('rsa', { modulusLength: spec.bits }) : generatePair('ec', { namedCurve: spec.curve })
  return (await pair).privateKey
}

/** A handle on an RSA, P-256 or P-384 private key; any other kind: `ERR_UNSUPPORTED`. Nothing on it gives the key out. */
export function softwareKeyHandle(privateKey: KeyObject, label: string): KeyHandle {
  const spec = specOf(privateKey)
  const publicKey = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const handle = { label, spec, protection: 'software', publicKey } as const
  // RSA signs on the thread pool: a tenth more CPU buys the other cores. An ECDSA signature is cheaper than the way there.
  if (spec.algorithm === 'ec') return { ...handle, sign: async (data, hash) => sign(hash, data, privateKey) }
  const rejectionSecret = randomBytes(32)
  return {
    ...handle,
    sign: (data, hash: HashName) => signOnPool(hash, data, privateKey),
    async unwrapKey(wrapped, { padding, lengthBytes }) {
      return padding === 'pkcs1'
        ? unwrapPkcs1(privateKey, wrapped, lengthBytes, rejectionSecret)
        : unwrapOaep(privateKey, wrapped, padding, lengthBytes)
    },
  }
}

function specOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): KeySpec {
  if (type === 'rsa' && details?.modulusLength) return { algorithm: 'rsa', bits: details.modulusLength }
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return { algorithm: 'ec', curve: 'P-256' }
  if (type === 'ec' && details?.namedCurve === 'secp384r1') return { algorithm: 'ec', curve: 'P-384' }
  throw new AgentError(
    'ERR_UNSUPPORTED',
    `a private key of type ${type ?? 'unknown'} ${details?.namedCurve ?? ''}, expected RSA, P-256 or P-384`,
  )
}

function unwrapOaep(key: KeyObject, wrapped: Uint8Array, padding: Exclude<UnwrapPadding, 'pkcs1'>, lengthBytes: number): Uint8Array {
  const unwrapped = tryOaep(key, wrapped, padding === 'oaep-sha1' ? 'sha1' : 'sha256')
  if (unwrapped?.length !== lengthBytes) throw new AgentError('ERR_CMS_DECRYPT', 'the envelope could not be decrypted')
  return unwrapped
}

function tryOaep(key: KeyObject, wrapped: Uint8Array, oaepHash: string): Buffer | undefined {
  try {
    return privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, wrapped)
  } catch {
    return undefined
  }
}
