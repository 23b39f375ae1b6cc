import { createHash, verify } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { AgentError, type KeyHandle } from '@certfleet/agent-core'
import { type Certificate, publicKeyOf } from '@certfleet/agent-core/pki'
import { z } from 'zod'
import { readCertificates } from '../tls/peer.ts'

/** RFC 5705 4: labels that begin with EXPERIMENTAL are free for private use. */
const exporterLabel = 'EXPERIMENTAL certfleet gateway'
const exportedBytes = 32
const purpose = 'certfleet gateway, proof of a device'

/** One line is at most so long: a chain of eight certificates. */
export const maxLineBytes = 64 * 1024
/** What the gateway says to whom it lets in, and nothing else to anybody. */
export const admitted = 'admitted'

const base64 = z.string().regex(/^[A-Za-z0-9+/]+={0,2}$/)
const schema = z.strictObject({
  /** Leaf first. */
  chain: z.array(base64).min(1).max(8),
  hash: z.enum(['sha256', 'sha384', 'sha512']),
  signature: base64,
})

export interface DeviceProof {
  readonly chain: readonly Certificate[]
  /** Whether the key of the leaf signed for this connection. */
  isProven(): boolean
}

/**
 * Proves who a device is above TLS, as one line: its certificates, and a signature of its key over what only the two ends of this
 * connection know (RFC 9266). It stands for EAP-TLS, where the key signs inside TLS; so a key need not leave its TPM or token.
 */
export async function writeProof(socket: TLSSocket, chain: readonly Uint8Array[], key: KeyHandle): Promise<string> {
  const hash = key.hashes === undefined || key.hashes.includes('sha256') ? 'sha256' : (key.hashes[0] ?? 'sha256')
  if (socket.destroyed) throw new AgentError('ERR_NETWORK', 'the gateway closed the connection')
  const signature = await key.sign(signedBytes(socket, chain[0] ?? new Uint8Array()), hash)
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
  return JSON.stringify({ chain: chain.map(text), hash, signature: text(signature) })
}

/** Undefined for what is no proof. */
export function readProof(socket: TLSSocket, line: string): DeviceProof | undefined {
  const proof = parse(line)
  const chain = proof && readCertificates(proof.chain.map((text) => Buffer.from(text, 'base64')))
  const leaf = chain?.[0]
  if (proof === undefined || chain === undefined || leaf === undefined) return undefined
  const signature = Buffer.from(proof.signature, 'base64')
  return { chain, isProven: () => !socket.destroyed && isSigned(leaf, signedBytes(socket, leaf.raw), proof.hash, signature) }
}

function parse(line: string): z.infer<typeof schema> | undefined {
  try {
    return schema.safeParse(JSON.parse(line)).data
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** As in RFC 8446 4.4.3: what it is for comes first, so that it can be taken for nothing else; the certificate last. */
function signedBytes(socket: TLSSocket, leaf: Uint8Array): Buffer {
  const exported = socket.exportKeyingMaterial(exportedBytes, exporterLabel, Buffer.alloc(0))
  return Buffer.concat([Buffer.from(`${purpose}\0`), exported, createHash('sha256').update(leaf).digest()])
}

function isSigned(leaf: Certificate, data: Uint8Array, hash: string, signature: Uint8Array): boolean {
  try {
    return verify(hash, data, publicKeyOf(leaf), signature)
  } catch (error) {
    if (error instanceof Error && 'code' in error) return false
    throw error
  }
}

/** The next line; undefined where the connection ends before, or the line is too long. */
export function readLine(socket: TLSSocket): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = ''
    const end = (line: string | undefined) => {
      socket.off('data', onData)
      socket.off('close', onClose)
      socket.off('end', onClose)
      resolve(line)
    }
    const onClose = () => end(undefined)
    const onData = (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const newline = text.indexOf('\n')
      if (newline >= 0) end(text.slice(0, newline))
      else if (text.length > maxLineBytes) end(undefined)
    }
    socket.on('data', onData).on('close', onClose).on('end', onClose)
    if (socket.destroyed || socket.readableEnded) end(undefined)
  })
}
