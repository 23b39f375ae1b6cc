import { Command } from 'commander'
import type { IdleFigures } from './idle-client.ts'
import { idleFigures, idleTargetKiB } from './idle-figures.ts'

const { devices, tls } = new Command('idle')
  .option('--devices <n>', 'connected and idle at the same time', Number, 10_000)
  .option('--tls <n>', 'then so many over TLS, 0 for none', Number, 2_000)
  .parse()
  .opts<{ devices: number; tls: number }>()
tell(`${devices} devices, plain`, await idleFigures(devices, false), idleTargetKiB)
if (tls > 0) tell(`${tls} devices, TLS`, await idleFigures(tls, true))

function tell(name: string, { rss, ...parts }: IdleFigures, target?: number): void {
  const others = Object.entries(parts).map(([part, size]) => `${part} ${size.toFixed(1)}`)
  const wanted = target === undefined ? '' : `, at most ${target}`
  console.log(`${name}: ${rss.toFixed(1)} KiB RSS a device above the empty fleet${wanted} (${others.join(', ')})`)
}
