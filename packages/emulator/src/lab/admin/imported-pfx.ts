import { AgentError } from '@certfleet/agent-core'
import { z } from 'zod'
import type { ImportedPfx } from '../connector/imported.ts'
import type { PaddingScheme } from '../connector/records.ts'
import { empty } from '../http.ts'
import { allowQuery, type GraphObject, list, moment, object, ofLists } from './answers.ts'
import { badRequest, type Call, conflict, notFound, readBody } from './request.ts'
import type { AdminRoutes } from './routes.ts'
import type { AdminServices } from './services.ts'

const paddingSchemes = ['oaepSha512', 'oaepSha256'] as const satisfies readonly PaddingScheme[]
const purposes = ['unassigned', 'smimeEncryption', 'smimeSigning', 'vpn', 'wifi'] as const
const maxBlobChars = 700_000
const maxPasswordChars = 1_024

const base64 = (max: number) => z.base64('expected base64').min(1, 'expected base64').max(max, `expected at most ${max} characters`)
const dateTime = z.iso.datetime({ offset: true, error: 'expected a date and time, as 2026-06-01T12:00:00Z' })

const shape = z.strictObject({
  '@odata.type': z.literal('#microsoft.graph.userPFXCertificate', 'expected #microsoft.graph.userPFXCertificate').optional(),
  userPrincipalName: z
    .string('expected name@domain')
    .max(113, 'expected at most 113 characters')
    .regex(/^[^@\s\p{Cc}]+@[^@\s\p{Cc}]+$/u, 'expected name@domain'),
  intendedPurpose: z.enum(purposes, `expected one of ${purposes.join(', ')}`),
  encryptedPfxBlob: base64(maxBlobChars),
  encryptedPfxPassword: base64(maxPasswordChars),
  providerName: z.string('expected the provider of the key'),
  keyName: z.string('expected the name of the key'),
  paddingScheme: z.enum(paddingSchemes, `expected one of ${paddingSchemes.join(', ')}`),
  // The certificate says it; who says it too must say the same.
  thumbprint: z
    .string('expected a SHA-1 thumbprint')
    .regex(/^[0-9a-f]{40}$/i, 'expected a SHA-1 thumbprint')
    .nullish(),
  startDateTime: dateTime.nullish(),
  expirationDateTime: dateTime.nullish(),
})

type Asked = z.output<typeof shape>

/** `deviceManagement/userPfxCertificates`, and the connector with the key that their passwords are encrypted to. */
export function importedPfxRoutes(services: AdminServices): AdminRoutes {
  const path = 'deviceManagement/userPfxCertificates'
  return {
    [path]: {
      GET(call) {
        allowQuery(call, ...ofLists)
        return list(services.importedPfx.list(), graphPfxOf, call)
      },
      POST: (call) => add(call, services),
    },
    [`${path}/{id}`]: {
      GET(call) {
        allowQuery(call, '$select')
        return object(200, graphPfxOf(importedOf(call, services)), call)
      },
      DELETE: (call) => remove(call, services),
    },
    'deviceManagement/certificateConnectorDetails': { GET: (call) => connectors(call, services) },
  }
}

async function add(call: Call, services: AdminServices) {
  const body = readBody(call.request, shape)
  const { providerName, keyName } = await services.importedPfx.key()
  if (body.providerName !== providerName) throw badRequest('providerName', `expected "${providerName}"`)
  if (body.keyName !== keyName)
    throw badRequest('keyName', `expected "${keyName}", as deviceManagement/certificateConnectorDetails tells it`)
  const imported = await judged(body, services)
  await services.changed()
  return object(201, graphPfxOf(imported), call)
}

/** What is wrong with the file is told by its words, which hold nothing of it. */
async function judged(body: Asked, { importedPfx }: AdminServices): Promise<ImportedPfx> {
  const { userPrincipalName, intendedPurpose, paddingScheme } = body
  const pfx = new Uint8Array(Buffer.from(body.encryptedPfxBlob, 'base64'))
  const encryptedPassword = new Uint8Array(Buffer.from(body.encryptedPfxPassword, 'base64'))
  const check = (found: ImportedPfx) => checkSaid(body, found)
  try {
    return await importedPfx.add({ userPrincipalName, intendedPurpose, paddingScheme, pfx, encryptedPassword, check })
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    if (error.code === 'ERR_UNSUPPORTED') throw conflict(error.message)
    throw badRequest(error.code === 'ERR_PFX_PASSWORD' ? 'encryptedPfxPassword' : 'encryptedPfxBlob', error.message)
  }
}

function checkSaid({ thumbprint, startDateTime, expirationDateTime }: Asked, found: ImportedPfx): void {
  if (thumbprint && thumbprint.toUpperCase() !== found.thumbprint)
    throw badRequest('thumbprint', `expected ${found.thumbprint}, that of the certificate in the file`)
  const moments = [
    ['startDateTime', startDateTime, found.notBefore],
    ['expirationDateTime', expirationDateTime, found.notAfter],
  ] as const
  for (const [target, said, at] of moments)
    if (said && Date.parse(said) !== at) throw badRequest(target, `expected ${moment(at)}, as the certificate in the file says`)
}

function importedOf({ ids: [id = ''] }: Call, { importedPfx }: AdminServices): ImportedPfx {
  const imported = importedPfx.get(id)
  if (imported === undefined) throw notFound('PFX certificate', id)
  return imported
}

async function remove(call: Call, services: AdminServices) {
  const { id } = importedOf(call, services)
  await services.importedPfx.remove(id)
  await services.changed()
  return empty(204)
}

/** `microsoft.graph.userPFXCertificate`. File and password went in, and come out nowhere but on a device. */
function graphPfxOf(imported: ImportedPfx): GraphObject {
  const { id, thumbprint, intendedPurpose, userPrincipalName, providerName, keyName, paddingScheme } = imported
  return {
    '@odata.type': '#microsoft.graph.userPFXCertificate',
    id,
    thumbprint,
    intendedPurpose,
    userPrincipalName,
    startDateTime: moment(imported.notBefore),
    expirationDateTime: moment(imported.notAfter),
    providerName,
    keyName,
    paddingScheme,
    encryptedPfxBlob: null,
    encryptedPfxPassword: null,
    createdDateTime: moment(imported.importedAt),
    lastModifiedDateTime: moment(imported.importedAt),
  }
}

/** `certificateConnectorDetails`: the one connector of the lab, and what an importer needs to know of it. */
async function connectors(call: Call, { importedPfx }: AdminServices) {
  allowQuery(call, ...ofLists)
  const { providerName, keyName, publicKey } = await importedPfx.key()
  const connector = {
    '@odata.type': '#microsoft.graph.certificateConnectorDetails',
    id: 'connector',
    connectorName: 'certfleet lab',
    machineName: 'certfleet lab',
    '@certfleet.pfxImport': { providerName, keyName, paddingSchemes, publicKey: Buffer.from(publicKey).toString('base64') },
  }
  return list([connector], (one) => one, call)
}
