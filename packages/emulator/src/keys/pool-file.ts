import { createHash } from 'node:crypto'
import { dirname } from 'node:path'
import { AgentError, type Disk } from '@certfleet/agent-core'
import { z } from 'zod'
import { base64url, isRsaFactor } from './rsa-key.ts'

/** `primes`: any two make a key. `keys`: each two that follow one another are a key of their own. */
export type PoolKind = 'primes' | 'keys'

const poolVersion = 1

const poolSchema = z.strictObject({
  kind: z.enum(['certfleet-emulation-primes', 'certfleet-emulation-keys']),
  version: z.literal(poolVersion),
  primeBits: z.int(),
  sha256: z.string(),
  primes: z.array(z.string().regex(/^[\w-]+$/)),
})

/** One line of JSON. The checksum is over the primes as they stand in it. */
export function encodePool(kind: PoolKind, primeBits: number, primes: readonly bigint[]): Uint8Array {
  const texts = primes.map(base64url)
  const sha256 = createHash('sha256').update(texts.join()).digest('hex')
  const document: z.input<typeof poolSchema> = {
    kind: `certfleet-emulation-${kind}`,
    version: poolVersion,
    primeBits,
    sha256,
    primes: texts,
  }
  return Buffer.from(`${JSON.stringify(document)}\n`)
}

/** Reads what `encodePool` wrote, octet for octet. Anything else is `ERR_STATE_INVALID` and names `file`. Whether they are prime is not tested. */
export function parsePool(bytes: Uint8Array, file: string, kind: PoolKind, primeBits: number): readonly bigint[] {
  const json = parseJson(bytes)
  const version = z.object({ kind: poolSchema.shape.kind, version: z.number() }).safeParse(json).data?.version ?? poolVersion
  if (version !== poolVersion) throw invalid(file, kind, `it has version ${version}, expected ${poolVersion}`)
  const { data } = poolSchema.safeParse(json)
  if (data?.kind !== `certfleet-emulation-${kind}` || data.primeBits !== primeBits) throw invalid(file, kind, 'it is torn or another file')
  const primes = data.primes.map((text) => BigInt(`0x${Buffer.from(text, 'base64url').toString('hex')}`))
  if (Buffer.compare(encodePool(kind, primeBits, primes), bytes) !== 0) throw invalid(file, kind, 'it was changed after it was written')
  if (new Set(primes).size !== primes.length || !primes.every((prime) => isRsaFactor(prime, primeBits))) {
    throw invalid(file, kind, 'it holds numbers that make no keys, or one twice')
  }
  return primes
}

/** The file's primes; `undefined` where there is no file. A disk that refuses is `ERR_STATE_IO`. */
export async function readPool(disk: Disk, file: string, kind: PoolKind, primeBits: number): Promise<readonly bigint[] | undefined> {
  const bytes = await disk.read(file).catch((error) => diskRefused('read', file, error))
  return bytes && parsePool(bytes, file, kind, primeBits)
}

/**
 * Writes the file (mode 600), in a folder that is made where it is missing: after a crash anywhere it is there whole or not at all.
 * A disk that refuses is `ERR_STATE_IO`.
 */
export async function writePool(disk: Disk, file: string, bytes: Uint8Array): Promise<void> {
  const folder = dirname(file)
  const temporary = `${file}.tmp`
  try {
    await disk.makeFolder(folder)
    await disk.syncFolder(dirname(folder))
    await disk.write(temporary, bytes)
    await disk.sync(temporary)
    await disk.rename(temporary, file)
    await disk.syncFolder(folder)
  } catch (error) {
    diskRefused('written', file, error)
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString())
  } catch {
    // No pool has no members: the schema says so.
    return undefined
  }
}

function invalid(file: string, kind: PoolKind, problem: string): AgentError {
  return new AgentError(
    'ERR_STATE_INVALID',
    `${file} is no pool of ${kind} for emulation: ${problem}; it was left as it is: remove it to have one made, or name another folder`,
  )
}

function diskRefused(what: string, file: string, error: unknown): never {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
  if (code === undefined || error instanceof AgentError) throw error
  throw new AgentError('ERR_STATE_IO', `${file} cannot be ${what} now (${code})`, { cause: error })
}
