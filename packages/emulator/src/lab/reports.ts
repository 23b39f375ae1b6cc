import type { Clock, HttpRequest, HttpResponse, Report } from '@certfleet/agent-core'
import { z } from 'zod'
import { empty, readBody } from './http.ts'
import type { LabStore } from './store.ts'

const rows = z.array(z.looseObject({ status: z.string().optional(), profileId: z.string().optional() })).max(20_000)

const reportSchema = z.looseObject({
  revision: z.int().nonnegative(),
  at: z.number(),
  platform: z.string().max(256),
  results: rows,
  roots: rows,
  profiles: rows,
})

/** POST report: keeps the device's last one. */
export async function receiveReport(deviceId: string, request: HttpRequest, store: LabStore, clock: Clock): Promise<HttpResponse> {
  const report = readBody(request, reportSchema) as Report | undefined
  if (report === undefined) return empty(400)
  await store.transaction((transaction) => transaction.put('reports', deviceId, { deviceId, at: clock.now(), report }))
  return empty(204)
}
