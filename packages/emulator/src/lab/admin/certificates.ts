import { createHash } from 'node:crypto'
import { AgentError } from '@certfleet/agent-core'
import { crlReasons, formatName, parseCertificate } from '@certfleet/agent-core/pki'
import { z } from 'zod'
import type { Device, IntentProfile, PkcsIntent, ScepIntent } from '../../tenant/index.ts'
import { empty } from '../http.ts'
import type { AuditEntry, IssuedRecord } from '../records.ts'
import type { RevocationReason } from '../revocation.ts'
import { allowQuery, type GraphObject, list, moment, object, ofLists, wholeNumber } from './answers.ts'
import { type CertificateRow, certificateRows, expiresWithin, hasFailed, type RowFilter } from './certificate-rows.ts'
import { registrationOf } from './devices.ts'
import { badRequest, type Call, conflict, notFound, readBody } from './request.ts'
import type { AdminRoutes } from './routes.ts'
import type { AdminServices } from './services.ts'
import { defaultExpiringDays, maxDays, summaryOf } from './summary.ts'

export interface MonitoringServices extends AdminServices {
  /** Oldest first. */
  audit(): readonly AuditEntry[]
}

const dayMs = 86_400_000
const reasons = ['removeFromCRL', ...Object.keys(crlReasons)] as const
const revocation = z.strictObject({ reason: z.enum(reasons, `expected one of ${reasons.join(', ')}`).optional() })

/** `managedDeviceCertificateStates` of a profile, of a device and of all; the summary; revocation. */
export function certificateRoutes(services: MonitoringServices): AdminRoutes {
  const states = 'managedDeviceCertificateStates'
  return {
    [`deviceManagement/deviceConfigurations/{id}/${states}`]: {
      GET(call) {
        const [profileId = ''] = call.ids
        if (!services.policies.view().profiles.has(profileId)) throw notFound('device configuration', profileId)
        return listStates(call, { profileId }, services)
      },
    },
    [`deviceManagement/managedDevices/{id}/${states}`]: {
      GET: (call) => listStates(call, { deviceId: registrationOf(call, services).deviceId }, services),
    },
    [`deviceManagement/${states}`]: { GET: (call) => listStates(call, {}, services) },
    'deviceManagement/certificateSummary': { GET: (call) => summary(call, services) },
    'deviceManagement/issuedCertificates/{id}/revoke': { POST: (call) => revoke(call, services) },
  }
}

/** Two options of the lab's own beside OData's: `expiringWithinDays` and `failed=true`. */
function listStates(call: Call, filter: RowFilter, services: MonitoringServices) {
  allowQuery(call, ...ofLists, 'expiringWithinDays', 'failed')
  const days = wholeNumber(call.query, 'expiringWithinDays', 0, maxDays)
  const failed = call.query.get('failed')
  if (failed !== null && failed !== 'true') throw badRequest('failed', 'expected true')
  const now = services.clock.now()
  const rows = certificateRows(services.index, services.audit(), filter).filter(
    (row) => (days === undefined || expiresWithin(row, now, days * dayMs)) && (failed === null || hasFailed(row)),
  )
  return list(rows, (row) => graphStateOf(row, services), call)
}

function summary(call: Call, services: MonitoringServices) {
  allowQuery(call, 'expiringWithinDays')
  const days = wholeNumber(call.query, 'expiringWithinDays', 0, maxDays) ?? defaultExpiringDays
  const devices = services.index.registrations.size
  const rows = certificateRows(services.index, services.audit())
  const nameOf = (profileId: string) => services.policies.view().profiles.get(profileId)?.intent.displayName
  return object(200, summaryOf(rows, { devices, now: services.clock.now(), days, nameOf }), call)
}

async function revoke(call: Call, services: MonitoringServices) {
  const serialNumber = (call.ids[0] ?? '').toLowerCase()
  const { reason } = readBody(call.request, revocation)
  if (services.store.get('issued', serialNumber) === undefined) throw notFound('issued certificate', serialNumber)
  try {
    await services.revoke(serialNumber, reason as RevocationReason | undefined)
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== 'ERR_UNSUPPORTED') throw error
    throw conflict(error.message)
  }
  return empty(204)
}

/** E_FAIL: Graph's number for what an agent tells by a code of its own, and its OS by no number. */
const failure = -2_147_467_259

/** `managedDeviceCertificateState`. */
function graphStateOf(row: CertificateRow, { policies, store }: AdminServices): GraphObject {
  const { device, user } = policies.known(row.deviceId) ?? {}
  const profile = policies.view().profiles.get(row.profileId)?.intent
  return {
    '@odata.type': '#microsoft.graph.managedDeviceCertificateState',
    id: `${row.profileId}_${row.deviceId}`,
    deviceDisplayName: device?.deviceName ?? row.deviceId,
    userDisplayName: user?.userName ?? null,
    devicePlatform: platformOf(device, profile),
    certificateProfileDisplayName: profile?.displayName ?? row.displayName ?? null,
    certificateIssuanceState: row.state,
    certificateLastIssuanceStateChangedDateTime: moment(row.at),
    lastCertificateStateChangeDateTime: moment(row.at),
    certificateRevokeStatus: row.isRevoked ? 'revoked' : 'none',
    certificateErrorCode: row.code === undefined ? 0 : (row.errorCode ?? failure),
    certificateSerialNumber: row.serialNumber ?? null,
    certificateIssuanceDateTime: moment(row.notBefore),
    certificateExpirationDateTime: moment(row.notAfter),
    ...ofCertificate(store.get('issued', row.serialNumber ?? '')),
    ...((profile?.kind === 'scep' || profile?.kind === 'pkcs') && ofProfile(profile)),
    certificateKeyLength: row.keyBits ?? (profile?.kind === 'scep' ? profile.keyBits : 0),
    '@certfleet.deviceId': row.deviceId,
    '@certfleet.profileId': row.profileId,
    ...(row.code !== undefined && { '@certfleet.errorCode': row.code }),
    ...(row.message !== undefined && { '@certfleet.errorMessage': row.message }),
  }
}

/** Where the lab issued it. */
function ofCertificate(record: IssuedRecord | undefined): GraphObject {
  const certificate = record && parseCertificate(record.certificate)
  return {
    certificateIssuer: certificate ? formatName(certificate.issuer) : null,
    certificateThumbprint: certificate ? createHash('sha1').update(certificate.raw).digest('hex').toUpperCase() : null,
    certificateEnhancedKeyUsage: certificate?.extendedKeyUsage?.join(',') ?? null,
  }
}

function ofProfile(profile: ScepIntent | PkcsIntent): GraphObject {
  return {
    ...(profile.kind === 'scep' && { certificateKeyUsage: profile.keyUsages.join(',') }),
    certificateKeyStorageProvider: profile.keyStorage,
    certificateSubjectNameFormat: profile.subjectNameFormat,
    certificateSubjectNameFormatString: profile.subjectTemplate ?? null,
    certificateSubjectAlternativeNameFormat: 'none',
    certificateSubjectAlternativeNameFormatString: profile.subjectAltNames.map(({ type, value }) => `${type}:${value}`).join(';') || null,
    certificateValidityPeriod: profile.validity.value,
    certificateValidityPeriodUnits: profile.validity.scale,
  }
}

const platformByFamily: Partial<Record<IntentProfile['family'], string>> = {
  androidForWork: 'androidForWork',
  androidWorkProfile: 'androidWorkProfile',
  aosp: 'androidAOSP',
  windowsPhone81: 'windowsPhone81',
}

/** `devicePlatformType`. */
function platformOf(device: Device | undefined, profile: IntentProfile | undefined): string {
  const ofProfileType = profile && platformByFamily[profile.family]
  if (ofProfileType !== undefined) return ofProfileType
  const platform = device?.platform ?? profile?.platform
  if (platform === 'ios') return 'iOS'
  if (platform === 'macos') return 'macOS'
  if (platform === 'windows') return Number.parseInt(device?.osVersion ?? '10', 10) >= 10 ? 'windows10AndLater' : 'windows81AndLater'
  return platform ?? 'unknown'
}
