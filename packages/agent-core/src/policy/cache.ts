import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { AgentError } from '../errors.ts'
import type { CachedPolicy, PolicyCache } from '../ports.ts'
import { type Disk, readState, replaceFile, systemDisk } from '../state/disk.ts'

/** Remembers until the process ends. */
export function memoryPolicyCache(): PolicyCache {
  let entry: { readonly etag: string | undefined; readonly packed: PackedBody } | undefined
  return {
    async load() {
      if (!entry) return undefined
      const body = unpack(entry.packed)
      return entry.etag === undefined ? { body } : { etag: entry.etag, body }
    },
    async save({ etag, body }) {
      entry = { etag, packed: pack(body) }
    },
  }
}

/** What the policies of one fleet say is mostly the same: each is kept as what differs from the first. Deflate looks no further back than this. */
const maxDictionaryBytes = 32_768
let firstBody: Buffer | undefined

interface PackedBody {
  readonly dictionary: Buffer
  /** A character an octet: a typed array of its own costs 400 octets beside those in it. */
  readonly deflated: string
}

function pack(body: Uint8Array): PackedBody {
  firstBody ??= Buffer.from(body.slice(0, maxDictionaryBytes))
  return { dictionary: firstBody, deflated: deflateRawSync(body, { dictionary: firstBody, level: 1 }).toString('latin1') }
}

function unpack({ dictionary, deflated }: PackedBody): Uint8Array {
  return new Uint8Array(inflateRawSync(Buffer.from(deflated, 'latin1'), { dictionary }))
}

export interface FilePolicyCacheOptions {
  /** Default: the machine's. */
  readonly disk?: Disk
}

/**
 * One file of mode 600, replaced in one step: a line of JSON with the ETag, then the policy's bytes.
 * A file that is none of its own is named by `ERR_STATE_INVALID` and left alone. A disk that refuses is `ERR_STATE_IO`.
 */
export function filePolicyCache(path: string, { disk = systemDisk }: FilePolicyCacheOptions = {}): PolicyCache {
  return {
    async load() {
      const bytes = await readState(disk, path)
      return bytes && parseEntry(bytes, path)
    },
    save: ({ etag, body }) => replaceFile(disk, path, Buffer.concat([firstLine(etag), body])),
  }
}

const mark = 'certfleet-policy-cache 1 '

function firstLine(etag: string | undefined): Buffer {
  return Buffer.from(`${mark}${etag === undefined ? '' : JSON.stringify(etag)}\n`)
}

function parseEntry(bytes: Uint8Array, path: string): CachedPolicy {
  const end = bytes.indexOf(0x0a)
  const line = Buffer.from(bytes.subarray(0, Math.max(end, 0))).toString()
  if (!line.startsWith(mark)) throw foreign(path)
  const body = new Uint8Array(bytes.subarray(end + 1))
  const etag = parseEtag(line.slice(mark.length), path)
  return etag === undefined ? { body } : { etag, body }
}

function parseEtag(text: string, path: string): string | undefined {
  if (text === '') return undefined
  try {
    return String(JSON.parse(text))
  } catch {
    throw foreign(path)
  }
}

function foreign(path: string): AgentError {
  return new AgentError('ERR_STATE_INVALID', `${path} is not a policy cache; it was left as it is`)
}
