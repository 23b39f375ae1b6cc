import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import { deserialize, serialize } from 'node:v8'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { AgentError } from '@certfleet/agent-core'

const cipher = 'aes-256-gcm'
const nonceBytes = 12
const tagBytes = 16
const keyBytes = 32
const maxContentsBytes = 256 * 1024 * 1024
/** Longer searches shorten it by a few percent and take twice as long. */
const deflateOptions = { level: 1 }

/** What a sealed value is of the run, and where it belongs: one that stands anywhere else does not open. */
export type Place =
  | { readonly kind: 'run' | 'shared' }
  | { readonly kind: 'orders' | 'record'; readonly shard: number }
  | { readonly kind: 'device'; readonly shard: number; readonly index: number }

/** Seals what is of one run. */
export interface RunSeal {
  /** Plain data: what a structured clone takes, with maps and octets. Never the same twice. */
  seal(place: Place, value: unknown): Buffer
  /** `ERR_STATE_INVALID`, the same whatever the cause, where it was not sealed for that place under that key. */
  open(place: Place, sealed: Uint8Array | undefined): unknown
}

/**
 * `nonce ‖ AES-256-GCM ‖ tag` under a key of the run's own (HKDF-SHA256, RFC 5869, of the sealing key), so that random nonces last for
 * any number of runs. The manifest as it stands in the queue goes into each value's place: with another manifest nothing opens.
 */
export function runSeal(sealingKey: Uint8Array, run: string, manifest: Uint8Array): RunSeal {
  const key = Buffer.from(hkdfSync('sha256', sealingKey, new Uint8Array(), `certfleet queue ${run}`, keyBytes))
  const digest = createHash('sha256').update(manifest).digest('hex')
  const placeOf = (place: Place) => Buffer.from(JSON.stringify([digest, Object.entries(place).sort()]))
  return {
    seal(place, value) {
      const nonce = randomBytes(nonceBytes)
      const encryption = createCipheriv(cipher, key, nonce).setAAD(placeOf(place))
      const contents = deflateRawSync(serialize(value), deflateOptions)
      return Buffer.concat([nonce, encryption.update(contents), encryption.final(), encryption.getAuthTag()])
    },
    open(place, sealed) {
      try {
        const bytes = Buffer.from(sealed as Uint8Array)
        const decryption = createDecipheriv(cipher, key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
        decryption.setAAD(placeOf(place)).setAuthTag(bytes.subarray(-tagBytes))
        const contents = Buffer.concat([decryption.update(bytes.subarray(nonceBytes, -tagBytes)), decryption.final()])
        return deserialize(inflateRawSync(contents, { maxOutputLength: maxContentsBytes }))
      } catch {
        throw new AgentError(
          'ERR_STATE_INVALID',
          `the sealing key is not the one of the run "${run}", or the queue was changed; give every machine the same key file`,
        )
      }
    },
  }
}
