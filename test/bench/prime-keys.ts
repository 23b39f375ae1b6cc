import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { softwareKeyHandle } from '@certfleet/agent-core'
import { type KeyPool, openPool, type PoolOptions } from '#emulator/keys/key-pool.ts'
import { alternate, ratio, type Samples, spread } from './measure.ts'

/** What an RSA-2048 key costs, imported and with its public key in DER: made afresh, of a prime pool, and of a pool of whole keys. */
const generatePair = promisify(generateKeyPair)
const plan = { warmUpRounds: 2, rounds: 15 }
const freshPerRound = 3
const pooledPerRound = 300
const options: PoolOptions = { seed: 'bench', devices: 1, keysPerDevice: pooledPerRound * (plan.rounds + plan.warmUpRounds) }

const started = process.cpuUsage()
const primes = await openPool('primes', 2048, options)
const { user, system } = process.cpuUsage(started)
const keys = await openPool('pool', 2048, { ...options, keysPerDevice: 20 })

const work = {
  fresh: many(freshPerRound, fresh),
  primes: many(pooledPerRound, inOrder(primes)),
  pool: many(pooledPerRound, inOrder(keys, 20)),
}
const samples = await alternate(work, { ...plan, callsPerRound: 1 })
const perKey = {
  fresh: each(samples.fresh, freshPerRound),
  primes: each(samples.primes, pooledPerRound),
  pool: each(samples.pool, pooledPerRound),
}
print()

/** Of the positions of a pool, one after the other, from the start again after `count`. */
function inOrder(pool: KeyPool, count = Number.POSITIVE_INFINITY): () => KeyObject {
  let next = 0
  return () => pool.keyAt(next++ % count)
}

async function fresh(): Promise<KeyObject> {
  return (await generatePair('rsa', { modulusLength: 2048 })).privateKey
}

function many(count: number, make: () => KeyObject | Promise<KeyObject>): () => Promise<void> {
  return async () => {
    for (let i = 0; i < count; i++) softwareKeyHandle(await make(), 'bench')
  }
}

function each(rounds: Samples, count: number): Samples {
  return rounds.map((cpuMs) => cpuMs / count)
}

function print(): void {
  const microseconds = (name: keyof typeof perKey) => spread(perKey[name].map((cpuMs) => cpuMs * 1000))
  const share = { primes: ratio(perKey.fresh, perKey.primes), pool: ratio(perKey.fresh, perKey.pool) }
  if (process.argv.includes('--json')) {
    const cpuUs = { fresh: microseconds('fresh'), primes: microseconds('primes'), pool: microseconds('pool') }
    console.log(JSON.stringify({ cpuUs, freshPerKey: share, primePoolCpuMs: (user + system) / 1000 }, undefined, 2))
    return
  }
  console.log('an RSA-2048 key with its handle | CPU, µs (quartiles) | a fresh key costs so many')
  for (const name of ['fresh', 'primes', 'pool'] as const) {
    const { median, low, high } = microseconds(name)
    const times =
      name === 'fresh' ? '1' : `${share[name].median.toFixed(0)} (${share[name].low.toFixed(0)} to ${share[name].high.toFixed(0)})`
    console.log([name, `${median.toFixed(0)} (${low.toFixed(0)} to ${high.toFixed(0)})`, times].join(' | '))
  }
  console.log(`the prime pool itself, made once: ${((user + system) / 1e6).toFixed(1)} s of CPU`)
}
