import { type Client, connectClient, makeKeys } from './client.ts'
import { type CryptoOperations, enrolmentOperations, perform, signers } from './crypto-operations.ts'
import { startLab } from './lab-process.ts'
import { alternate, atOnce, ratio, spread, type Work } from './measure.ts'
import { jobsFor } from './peers.ts'
import { type Row, row } from './row.ts'

const keyCount = 20
const target = { atMost: 1.5 }

/** CPU of whole enrolments beside their bare crypto: the two that have a target first. */
export const clientCpuRows = (): Promise<Row[]> => withClient(enrolmentRows)

/** The same, with each bare operation and each SCEP message beside other libraries. */
export const allEnrolmentRows = (): Promise<Row[]> =>
  withClient(async (client) => [...(await enrolmentRows(client)), ...(await operationRows(client)), ...(await jobRows(client))])

async function withClient(measure: (client: Client) => Promise<Row[]>): Promise<Row[]> {
  const lab = await startLab()
  try {
    const client = await connectClient(lab, await makeKeys(keyCount))
    const rows = await measure(client)
    await client.close()
    return rows
  } finally {
    await lab.stop()
  }
}

/** Devices one at a time and, as a fleet has them, ten at once. */
async function enrolmentRows(client: Client): Promise<Row[]> {
  const pool = client.records.map((record) => enrolmentOperations(record, client, signers.pool))
  const sync = client.records.map((record) => enrolmentOperations(record, client, signers.sync))
  const bare: Work = (i) => perform(pool[i] as CryptoOperations)
  const plan = { rounds: 40, warmUpRounds: 60, callsPerRound: 1 }
  const works = {
    fleet: atOnce(10, keyCount, client.enroll),
    fleetBare: atOnce(10, keyCount, bare),
    single: atOnce(1, keyCount, client.enroll),
    singleBare: atOnce(1, keyCount, bare),
    bareSync: atOnce(1, keyCount, (i) => perform(sync[i] as CryptoOperations)),
    meetServer: atOnce(1, keyCount, client.meetServer),
    http: atOnce(1, keyCount, client.exchangeOnly),
  }
  const samples = await alternate(works, plan)
  const perCall = (name: keyof typeof works) => spread(samples[name].map((cpuMs) => cpuMs / keyCount))
  return [
    row('enrolment / bare crypto, 10 at once', 'ratio', ratio(samples.fleet, samples.fleetBare), target),
    row('enrolment / bare crypto, one at a time', 'ratio', ratio(samples.single, samples.singleBare), target),
    row('enrolment / bare crypto signed synchronously', 'ratio', ratio(samples.single, samples.bareSync)),
    row('enrolment, 10 at once', 'ms', perCall('fleet')),
    row('enrolment, one at a time', 'ms', perCall('single')),
    row('bare crypto, 10 at once', 'ms', perCall('fleetBare')),
    row('bare crypto, one at a time', 'ms', perCall('singleBare')),
    row('bare crypto signed synchronously', 'ms', perCall('bareSync')),
    row('of it: GetCACaps and GetCACert without HTTP', 'ms', perCall('meetServer')),
    row('of it: the three HTTP exchanges', 'ms', perCall('http')),
  ]
}

/** Each of the bare operations, all of its count together. */
async function operationRows(client: Client): Promise<Row[]> {
  const operations = client.records.map((record) => enrolmentOperations(record, client, signers.pool))
  const names = Object.keys(operations[0] as CryptoOperations)
  const works = names.map((name): [string, Work] => [name, (i) => perform({ [name]: operations[i]?.[name] ?? [] })])
  const samples = await alternate(Object.fromEntries(works), { rounds: 10, warmUpRounds: 2, callsPerRound: keyCount })
  return names.map((name) =>
    row(`bare: ${name} ×${operations[0]?.[name]?.length}`, 'µs', spread((samples[name] ?? []).map((cpuMs) => cpuMs * 1000))),
  )
}

async function jobRows(client: Client): Promise<Row[]> {
  const rows: Row[] = []
  for (const { name, bare, certfleet, peers } of await jobsFor(client.records[0] as Client['records'][number], client)) {
    const own = await alternate({ certfleet, bare }, { rounds: 40, warmUpRounds: 20, callsPerRound: 40 })
    const others = await alternate({ bare, ...peers }, { rounds: 10, warmUpRounds: 4, callsPerRound: 5 })
    rows.push(row(`${name}: certfleet / bare crypto`, 'ratio', ratio(own.certfleet, own.bare), target))
    for (const peer of Object.keys(peers)) {
      const samples = others as Record<string, readonly number[]>
      rows.push(row(`${name}: ${peer} / bare crypto`, 'ratio', ratio(samples[peer] ?? [], others.bare)))
    }
  }
  return rows
}
