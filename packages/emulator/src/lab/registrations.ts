import { randomBytes } from 'node:crypto'
import type { Clock, HttpRequest, HttpResponse } from '@certfleet/agent-core'
import { z } from 'zod'
import type { Audit } from './audit.ts'
import { maxManagementCertificateChars, readManagementCertificate } from './connector/management-certificate.ts'
import { sameDigest, sameSecret, sha256Hex } from './digest.ts'
import { bearerOf, empty, json, readBody } from './http.ts'
import type { Registration } from './records.ts'
import type { LabStore, LabTransaction } from './store.ts'

export interface RegistrationsOptions {
  readonly store: LabStore
  readonly clock: Clock
  readonly audit: Audit
  readonly registrationToken: string
  /** Called once a device's credential has been replaced. */
  readonly onRotated: (deviceId: string) => void
}

export interface Registrations {
  /**
   * POST register: 201 with the device's credential; registering again replaces it and the management certificate. 400 for a management
   * certificate that no secret can be encrypted to.
   */
  register(request: HttpRequest): Promise<HttpResponse>
  /** Whose credential the request bears. */
  authenticate(headers: HttpRequest['headers']): Registration | undefined
}

const label = z.string().regex(/^[^\p{Cc}]{1,64}$/u)

const bodySchema = z.object({
  registrationToken: z.string().max(4096).optional(),
  deviceId: z.string().regex(/^(?! )[^\p{Cc}]{1,256}(?<! )$/u),
  platform: label,
  osVersion: label,
  management: label.optional(),
  managementCertificate: z.base64().max(maxManagementCertificateChars).optional(),
})

/**
 * Registration of devices. What entitles to it is the registration token, as bearer or in the body.
 * A credential is 32 random bytes and kept only as its SHA-256.
 */
export function registrations({ store, clock, audit, registrationToken, onRotated }: RegistrationsOptions): Registrations {
  return {
    async register(request) {
      const body = readBody(request, bodySchema)
      const token = bearerOf(request.headers) ?? body?.registrationToken
      if (token === undefined || !sameSecret(token, registrationToken)) {
        await store.transaction((transaction) => audit.add(transaction, { event: 'registration-refused' }))
        return empty(401)
      }
      if (body === undefined) return empty(400)
      const { deviceId, platform, osVersion, management, managementCertificate: brought } = body
      const managementCertificate = brought === undefined ? undefined : readManagementCertificate(brought)
      if (brought !== undefined && managementCertificate === undefined) return empty(400)
      const credential = randomBytes(32).toString('base64url')
      const registration: Registration = {
        deviceId,
        platform,
        osVersion,
        credentialDigest: sha256Hex(credential),
        registeredAt: clock.now(),
        ...(management && { management }),
        ...(managementCertificate && { managementCertificate }),
      }
      const rotated = await store.transaction((transaction) => enter(transaction, registration, audit))
      if (rotated) onRotated(deviceId)
      return json(201, { deviceId, credential })
    },
    authenticate(headers) {
      const credential = bearerOf(headers)
      if (credential === undefined) return undefined
      const digest = sha256Hex(credential)
      const registration = store.get('registrations', store.get('credentials', digest) ?? '')
      return registration && sameDigest(registration.credentialDigest, digest) ? registration : undefined
    },
  }
}

/** Returns whether the device had a credential before. */
function enter(transaction: LabTransaction, registration: Registration, audit: Audit): boolean {
  const { deviceId, credentialDigest } = registration
  const before = transaction.get('registrations', deviceId)
  if (before) transaction.remove('credentials', before.credentialDigest)
  transaction.put('credentials', credentialDigest, deviceId)
  transaction.put('registrations', deviceId, registration)
  audit.add(transaction, { event: before ? 'credential-rotated' : 'registered', deviceId })
  return before !== undefined
}
