import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { systemClock } from '@certfleet/agent-core'
import { createLab, issueTlsCertificate, makeTlsAuthority, memoryLabStore, serveLab } from '#emulator/lab/index.ts'
import { assignProfiles, generateTenant, loadExport, renderPolicy, retarget } from '#emulator/tenant/index.ts'
import { root } from '../tooling/root.ts'
import type { LabAddress, LabWish } from './idle-fleet.ts'

/** The lab of `idle.ts`: asked once what for, tells where it is, and ends with the channel. */
process.once('message', (wish: LabWish) => void serve(wish))
process.once('disconnect', () => process.exit())

async function serve({ counts, isTls }: LabWish): Promise<void> {
  const tenant = generateTenant({ counts, domain: 'contoso.example' })
  const registrationToken = randomBytes(32).toString('base64url')
  const exported = await loadExport(join(root, 'packages/emulator/examples/contoso/graph'))
  const lab = await createLab({
    store: memoryLabStore(),
    clock: systemClock,
    registrationToken,
    policyFor: (deviceId) => (tenant.devices.has(deviceId) ? renderPolicy(intent, tenant, deviceId, { revision: 1 }) : undefined),
  })
  const authority = isTls ? await makeTlsAuthority({ clock: systemClock, name: 'idle bench' }) : undefined
  const tls = authority && (await issueTlsCertificate({ publicName: 'localhost', purposes: ['server'] }, authority, systemClock))
  const most = { maxConnections: 19_000, maxPushConnections: 19_000 }
  const { policyUrl, scepUrl } = await serveLab(lab, { limits: most, ...(tls && { tls }) })
  const { imported } = retarget(exported, { root: lab.rootCertificate, issuing: lab.issuingCertificate, scepUrl })
  const { intent } = assignProfiles(imported, tenant)
  const trustAnchor = authority && Buffer.from(authority.root.raw).toString('base64')
  process.send?.({ policyUrl, registrationToken, ...(trustAnchor && { trustAnchor }) } satisfies LabAddress)
}
