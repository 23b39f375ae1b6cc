import { parseCertificate } from '@certfleet/agent-core/pki'
import { lmdbLabStore, memoryLabStore } from '@certfleet/emulator/lab'
import t from 'tap'
import { testKey } from '../fakes/certificates.ts'
import { challengeFor, enrolled, policyWith, register, startLab, type TestLab, wifi } from './surroundings.ts'

const day = 86_400_000

let attempt = 0

/** The profile asks for 30 days, the template gives 365. */
async function daysFor({ lab }: TestLab, credential: string): Promise<number> {
  const label = `attempt-${attempt++}`
  const { notBefore, notAfter } = parseCertificate(
    await enrolled(lab, { key: await testKey(label), challenge: await challengeFor(lab, credential, label) }),
  )
  return (notAfter - notBefore) / day
}

t.test('ca.end-date, validity.apple-template: EDITF_ATTRIBUTEENDDATE counts after a restart, and never for Apple', async (t) => {
  const it = await startLab()
  const { lab, policies } = it
  const [windows, mac] = [await register(lab), await register(lab, 'device-2', 'macOS')]
  policies.set('device-2', { ...policyWith(wifi), deviceId: 'device-2' })
  t.same(lab.caSettings(), { attributeEndDate: { configured: false, running: false } })
  t.equal(await daysFor(it, windows), 365)
  await lab.configureCa({ attributeEndDate: true })
  t.same(lab.caSettings(), { attributeEndDate: { configured: true, running: false } })
  t.equal(await daysFor(it, windows), 365, 'set, not running')
  await lab.restartCa()
  t.same(lab.caSettings(), { attributeEndDate: { configured: true, running: true } })
  t.equal(await daysFor(it, windows), 30)
  t.equal(await daysFor(it, mac), 365, 'S51')
  await lab.configureCa({ attributeEndDate: false })
  t.equal(await daysFor(it, windows), 30, 'cleared, still running')
  await lab.restartCa()
  t.equal(await daysFor(it, windows), 365)
  t.match(
    lab
      .audit()
      .filter(({ event }) => event === 'setting-changed' || event === 'ca-restarted')
      .map(({ event, detail }) => [event, detail]),
    [
      ['setting-changed', 'EDITF_ATTRIBUTEENDDATE is on once the CA has restarted'],
      ['ca-restarted', 'EDITF_ATTRIBUTEENDDATE is on'],
      ['setting-changed', 'EDITF_ATTRIBUTEENDDATE is off once the CA has restarted'],
      ['ca-restarted', 'EDITF_ATTRIBUTEENDDATE is off'],
    ],
  )
})

for (const [name, open] of [
  ['memory', async () => memoryLabStore()],
  ['lmdb', async () => lmdbLabStore(t.testdir())],
] as const) {
  t.test(`a lab that starts again has restarted its CA: ${name}`, async (t) => {
    const store = await open()
    t.teardown(() => store.close())
    const first = await startLab({ store, honourRequestedValidity: true })
    t.same(first.lab.caSettings().attributeEndDate, { configured: true, running: true }, 'the first start')
    await first.lab.configureCa({ attributeEndDate: false })
    t.same(first.lab.caSettings().attributeEndDate, { configured: false, running: true })
    const second = await startLab({ store, honourRequestedValidity: true })
    t.same(second.lab.caSettings().attributeEndDate, { configured: false, running: false }, 'what was configured counts, not what is given')
    t.equal(await daysFor(second, await register(second.lab)), 365)
  })
}
