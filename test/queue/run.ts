import { Command, InvalidArgumentError } from 'commander'
import { simulateRun } from './simulated-run.ts'

function atLeastOne(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 1.')
  return Number(text)
}

const { seeds, seed } = new Command('simulate:queue')
  .description('Simulates runs over a queue with everything that can happen to them, and compares each with the same run by one process')
  .option('--seeds <n>', 'how many', atLeastOne, 1000)
  .option('--seed <text>', 'of the whole; a single simulation is <text>/<n>', 'certfleet')
  .parse()
  .opts<{ seeds: number; seed: string }>()

const total = { devices: 0, certificates: 0, repeated: 0, failed: 0, troubles: new Map<string, number>() }
for (let n = 0; n < seeds; n++) {
  const { wrong, troubles, devices, certificates, repeated } = await simulateRun(`${seed}/${n}`)
  total.devices += devices
  total.certificates += certificates
  total.repeated += repeated
  for (const [name, count] of troubles) total.troubles.set(name, (total.troubles.get(name) ?? 0) + count)
  if (wrong.length > 0) total.failed++
  for (const sentence of wrong) console.log(`seed ${seed}/${n}: ${sentence}`)
}
const troubles = [...total.troubles].sort(([, a], [, b]) => b - a).map(([name, count]) => `${count} ${name}`)
console.log(`${total.devices} devices, ${total.certificates} certificates, ${total.repeated} steps made again; ${troubles.join(', ')}`)
console.log(`${seeds} seeds, ${total.failed} with something wrong; seed ${seed}`)
process.exitCode = total.failed === 0 ? 0 : 1
