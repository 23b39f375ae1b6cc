import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { retryAfterOf } from '../backoff.ts'
import { openEnvelopedData } from '../cms/enveloped-data.ts'
import { AgentError, type AgentErrorCode } from '../errors.ts'
import { parseCertificate } from '../pki/certificate.ts'
import type { PfxSource } from '../ports.ts'
import { besidePolicy, checkAuthorized, postJson, readJson } from './http.ts'
import type { ManagementIdentity } from './management.ts'
import type { PolicyServiceOptions } from './source.ts'

/** Base64 of what `openPfx` takes at most. */
const maxPfxChars = Math.ceil((1024 * 1024) / 3) * 4
/** Of an envelope: a password is short. */
const maxPasswordChars = 16_384

const pfxSchema = z.object({ pfx: z.base64().min(1).max(maxPfxChars), password: z.base64().min(1).max(maxPasswordChars) })

/**
 * POST `pfx` beside the policy with `{ profileId, attemptId }`; 200 brings `{ pfx, password }`, both base64: the file, and CMS EnvelopedData
 * of the password in UTF-8 to the certificate that the device was registered with.
 */
export function pfxSource({ policyUrl, credential, transport }: PolicyServiceOptions, management: ManagementIdentity): PfxSource {
  const url = besidePolicy(policyUrl, 'pfx')
  return {
    async pfxFor(profileId, attemptId, signal) {
      const response = await postJson(transport, url, credential, { profileId, attemptId }, signal).catch((error) => {
        if (signal.aborted || !(error instanceof AgentError)) throw error
        throw new AgentError('ERR_PFX_UNAVAILABLE', `no PFX for "${profileId}": ${error.message}`, { cause: error })
      })
      checkAuthorized(response, `a PFX for "${profileId}"`)
      const answer = response.status === 200 ? readJson(response, pfxSchema) : undefined
      if (answer === undefined) {
        const message = `no PFX for "${profileId}": the policy service answered ${response.status}`
        throw new AgentError('ERR_PFX_UNAVAILABLE', message, { retryAfterMs: retryAfterOf(response) })
      }
      const password = await openPassword(Buffer.from(answer.password, 'base64'), management)
      return { pfx: new Uint8Array(Buffer.from(answer.pfx, 'base64')), password }
    },
  }
}

/** Text that is not UTF-8 is no password either. */
async function openPassword(envelope: Uint8Array, { certificate, key }: ManagementIdentity): Promise<string> {
  const content = await openEnvelope(envelope, { certificate, key })
  try {
    if (content.length === 0 || !isUtf8(content)) throw notForUs()
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(content)
  } finally {
    content.fill(0)
  }
}

async function openEnvelope(envelope: Uint8Array, { certificate, key }: ManagementIdentity): Promise<Uint8Array> {
  try {
    return (await openEnvelopedData(envelope, { recipients: [{ certificate: parseCertificate(certificate), key }] })).content
  } catch (error) {
    throw error instanceof AgentError && envelopeFaults.has(error.code) ? notForUs() : error
  }
}

/** What can be wrong with an envelope. What is wrong with the key is told as it is. */
const envelopeFaults: ReadonlySet<AgentErrorCode> = new Set([
  'ERR_ALGORITHM_REFUSED',
  'ERR_CMS_DECRYPT',
  'ERR_CMS_INVALID',
  'ERR_DER_MALFORMED',
  'ERR_LIMIT_EXCEEDED',
])

/** One error for every cause, so that none tells which it was. */
function notForUs(): AgentError {
  return new AgentError('ERR_CMS_DECRYPT', 'the password of the PFX could not be decrypted')
}
