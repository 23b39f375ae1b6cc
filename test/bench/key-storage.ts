import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  fileKeys,
  type KeyStorageProvider,
  modelledPassport,
  modelledTpm,
  parsePkcs11Address,
  pkcs11Keys,
  softwareKeys,
  systemClock,
} from '@certfleet/agent-core'
import { type BenchKey, type Client, connectClient, makeKeys } from './client.ts'
import { startLab } from './lab-process.ts'
import { atOnce, type Spread, spread } from './measure.ts'

/** Enrolments a second with each key storage provider, wall time, and how far below keys in memory that is. */
interface Row {
  readonly provider: string
  readonly freshPerSecond: Spread
  readonly singlePerSecond: Spread
  readonly tenPerSecond: Spread
  /** Ten at once against keys in memory, round by round. */
  readonly share: Spread
}

interface Contender {
  readonly provider: KeyStorageProvider
  readonly keys: readonly BenchKey[]
}

/** As many keys as the smallest of them, a TPM, has room for beside one that is made and destroyed. */
const keyCount = 5
const rounds = 7
const enrolmentsPerRound = 20
const spec = { algorithm: 'rsa', bits: 2048 } as const

const folder = await mkdtemp(join(tmpdir(), 'certfleet-bench-'))
const lab = await startLab()
const closing: (() => Promise<void>)[] = []
try {
  const client = await connectClient(lab, await makeKeys(1))
  closing.push(() => client.close())
  print(await measure(await Promise.all((await providers()).map(prepare)), client))
} finally {
  for (const close of closing.reverse()) await close()
  await lab.stop()
  await rm(folder, { recursive: true })
}

async function providers(): Promise<KeyStorageProvider[]> {
  const passport = modelledPassport({
    clock: systemClock,
    user: 'bench',
    containerName: 'bench',
    onGesture: async () => ({ pin: 'bench-only-000000' }),
  })
  await passport.setPin('bench-only-000000')
  return [
    softwareKeys(),
    await fileKeys(join(folder, 'keys'), { secret: { passphrase: 'bench-only' } }),
    modelledTpm({ clock: systemClock }),
    passport,
    ...(await tokens()),
  ]
}

/** `npm run test:hardware -- --bench` names one after the other; without it there is none. */
async function tokens(): Promise<KeyStorageProvider[]> {
  const { CERTFLEET_HARDWARE_TOKEN: address, CERTFLEET_HARDWARE_PIN: pin = '' } = process.env
  if (address === undefined) return []
  const keys = await pkcs11Keys({ ...parsePkcs11Address(address), pin, clock: systemClock, namespace: 'bench' })
  closing.push(() => keys.close())
  return [keys]
}

async function prepare(provider: KeyStorageProvider): Promise<Contender> {
  const keys: BenchKey[] = []
  for (let i = 0; i < keyCount; i++) {
    const label = `bench-${i}`
    keys.push({ handle: await provider.generate(spec, label), subject: `CN=device-${i},OU=Bench,O=Example` })
    closing.push(() => provider.destroy(label))
  }
  return { provider, keys }
}

async function measure(contenders: readonly Contender[], client: Client): Promise<Row[]> {
  const rates = contenders.map(() => ({ fresh: [] as number[], single: [] as number[], ten: [] as number[] }))
  for (let round = -1; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      const rate = await oneRound(contender, client)
      if (round < 0) continue
      for (const name of ['fresh', 'single', 'ten'] as const) rates[i]?.[name].push(rate[name])
    }
  }
  const memory = rates[0]?.ten ?? []
  return rates.map(({ fresh, single, ten }, i) => ({
    provider: (contenders[i] as Contender).provider.name,
    freshPerSecond: spread(fresh),
    singlePerSecond: spread(single),
    tenPerSecond: spread(ten),
    share: spread(ten.map((rate, round) => rate / (memory[round] as number))),
  }))
}

async function oneRound({ provider, keys }: Contender, client: Client): Promise<Record<'fresh' | 'single' | 'ten', number>> {
  const enroll = (i: number) => client.enrollWith(keys[i % keys.length] as BenchKey)
  return {
    fresh: await perSecond(2, async () => {
      for (const label of ['bench-fresh-0', 'bench-fresh-1']) await enrollFresh(provider, label, client)
    }),
    single: await perSecond(enrolmentsPerRound, atOnce(1, enrolmentsPerRound, enroll)),
    ten: await perSecond(enrolmentsPerRound, atOnce(10, enrolmentsPerRound, enroll)),
  }
}

async function enrollFresh(provider: KeyStorageProvider, label: string, client: Client): Promise<void> {
  const handle = await provider.generate(spec, label)
  await client.enrollWith({ handle, subject: `CN=${label},OU=Bench,O=Example` })
  await provider.destroy(label)
}

async function perSecond(count: number, work: (index: number) => unknown): Promise<number> {
  const startedAt = process.hrtime.bigint()
  await work(0)
  return (count * 1e9) / Number(process.hrtime.bigint() - startedAt)
}

function print(rows: readonly Row[]): void {
  if (process.argv.includes('--json')) {
    console.log(JSON.stringify(rows, undefined, 2))
    return
  }
  const text = ({ median, low, high }: Spread, digits = 1) =>
    `${median.toFixed(digits)} (${low.toFixed(digits)} to ${high.toFixed(digits)})`
  console.log('enrolments a second: key made for it | key at hand, one at a time | ten at once | ten at once / keys in memory')
  for (const row of rows) {
    const values = [text(row.freshPerSecond), text(row.singlePerSecond), text(row.tenPerSecond), text(row.share, 2)]
    console.log([row.provider, ...values].join(' | '))
  }
}
