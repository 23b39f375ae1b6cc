import type { CmsSigner } from '../cms/signed-data.ts'
import type { HttpResponse } from '../ports.ts'
import type { HashName } from '../types.ts'
import type { RequestType } from './attributes.ts'
import { chooseAlgorithms } from './capabilities.ts'
import { type CertRep, parseCertRep } from './cert-rep.ts'
import { buildPkiRequest } from './pki-request.ts'
import { assertOk, type ScepServer, type ScepServerOptions } from './server.ts'

export interface ScepProtocolOptions extends ScepServerOptions {
  /** The digest the profile asks for. Default: what the CA's capabilities offer (A10). */
  readonly hash?: Exclude<HashName, 'sha1'>
  /** Reads replies that are encrypted with single DES. Default false. */
  readonly legacyDes?: boolean
}

export interface Operation {
  readonly messageType: RequestType
  /** What it asks with, DER. */
  readonly content: Uint8Array
  readonly transactionId: string
  /** Signs the message, and is who the answer is encrypted to. */
  readonly signer: CmsSigner
}

/** One PKIOperation: a message to a server that was met, and its answer, verified and decrypted (RFC 8894 4.3). */
export async function operate(
  operation: Operation,
  server: ScepServer,
  options: ScepProtocolOptions,
  signal: AbortSignal,
): Promise<CertRep> {
  const { legacyDes, legacySha1 } = options
  const { hashes } = operation.signer.key
  const { hash, cipher, post } = chooseAlgorithms(server.capabilities, {
    legacySha1,
    hash: options.hash ?? hashes?.[0],
    strongest: options.habits.digest === 'strongest' && hashes === undefined,
    needsDigest: options.habits.needsDigest,
  })
  const { recipient, signers } = server.ca
  const { transactionId, signer } = operation
  const { message, senderNonce } = await buildPkiRequest({ ...operation, recipient, hash, cipher })
  const response = await send(message, post, server, options, signal)
  assertOk(response, 'PKIOperation')
  return parseCertRep(response.body, { signers, transactionId, senderNonce, recipient: signer, legacyDes, legacySha1 })
}

/** What a no says beside its failInfo. */
export function failureText({ failInfoText, hresult }: Extract<CertRep, { status: 'failure' }>): { text?: string } {
  const text = [failInfoText, hresult].filter((part) => part !== undefined).join(', ')
  return text ? { text } : {}
}

function send(
  message: Uint8Array,
  post: boolean,
  { url }: ScepServer,
  { transport, habits }: ScepProtocolOptions,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const headers = { 'user-agent': habits.userAgent }
  if (post) {
    const posted = { ...headers, 'content-type': 'application/x-pki-message' }
    return transport.send({ method: 'POST', url: `${url}?operation=PKIOperation`, headers: posted, body: message }, signal)
  }
  const encoded = encodeURIComponent(Buffer.from(message).toString('base64'))
  return transport.send({ method: 'GET', url: `${url}?operation=PKIOperation&message=${encoded}`, headers }, signal)
}
