import type { HttpRequest } from '@certfleet/agent-core'
import { type PkiRequest, verifyPkiRequest } from '@certfleet/agent-core/scep/messages'
import type { ConformanceDevice } from './device.ts'

/** The SCEP operation that a request asks for. */
export function operationOf({ url }: HttpRequest): string {
  return new URL(url).searchParams.get('operation') ?? ''
}

/** The SCEP operations that the device asked for, oldest first. */
export function operations({ exchanges }: ConformanceDevice): readonly string[] {
  return exchanges.map(({ request }) => operationOf(request))
}

/** Its PKIOperation requests as they were sent, oldest first. */
export function pkiOperations({ exchanges }: ConformanceDevice): readonly HttpRequest[] {
  return exchanges.map(({ request }) => request).filter((request) => operationOf(request) === 'PKIOperation')
}

/** The SCEP messages in them. One that no server could read: `ERR_CMS_INVALID` and the like. */
export function pkiMessages(device: ConformanceDevice, legacySha1 = false): readonly PkiRequest[] {
  return pkiOperations(device).map((request) => verifyPkiRequest(messageOf(request), { legacySha1 }))
}

export function messageOf({ url, body }: HttpRequest): Uint8Array {
  return body ?? Buffer.from(new URL(url).searchParams.get('message') ?? '', 'base64')
}

/** The object identifiers of ciphers and digests that a message names, as DER. */
const named = {
  'AES-128': '0609608648016503040102',
  '3DES': '06082a864886f70d0307',
  DES: '06052b0e030207',
  MD5: '06082a864886f70d0205',
  'SHA-1': '06052b0e03021a',
} as const

/** Which of them stand in a message. */
export function algorithmsIn(message: Uint8Array): readonly (keyof typeof named)[] {
  const bytes = Buffer.from(message)
  return (Object.keys(named) as (keyof typeof named)[]).filter((name) => bytes.includes(Buffer.from(named[name], 'hex')))
}
