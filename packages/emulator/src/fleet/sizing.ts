import { isIPv4 } from 'node:net'
import { InputError } from '../scenario/input-error.ts'

/** What decides how a run is spread over processes. */
export interface Load {
  readonly devices: number
  /** Each holds a connection of its own for as long as it stays. */
  readonly staysConnected: boolean
  /** The service runs on this machine, in a process of the run's. */
  readonly hasLab: boolean
  /** As asked for. Default: by devices and cores. */
  readonly workers?: number | undefined
}

export interface Machine {
  readonly cores: number
  /** File descriptors that one process may hold. */
  readonly descriptors: number
}

/** Below it a process would cost more to start than it takes off the first one. */
const devicesWorthAProcess = 250
/** Connections that requests share, in each process; further requests wait for one. */
export const maxSharedConnections = 1_024
/** Files, pipes and sockets of the process itself. */
const ownDescriptors = 256

/** What one process that carries so many devices needs. */
const descriptorsFor = (devices: number, { staysConnected }: Load): number =>
  (staysConnected ? devices : 0) + Math.min(devices, maxSharedConnections) + ownDescriptors

/**
 * How many processes carry the devices beside the first; 0: the first carries them. As many as there are cores, one of them left to the
 * lab, and more where descriptors run out before. `InputError` where a number that was asked for, or one lab, has too few descriptors.
 */
export function workersFor(load: Load, { cores, descriptors }: Machine): number {
  if (load.hasLab) refuseTooFew('the embedded lab', descriptorsForLab(load), descriptors, 'or run fewer devices, or a target of its own')
  if (load.workers !== undefined) {
    const share = Math.ceil(load.devices / Math.max(1, load.workers))
    refuseTooFew(`each of ${Math.max(1, load.workers)} processes`, descriptorsFor(share, load), descriptors, 'or ask for more workers')
    return Math.min(load.workers, load.devices)
  }
  const byDescriptors = Math.ceil(load.devices / Math.max(1, descriptors - descriptorsFor(0, load) - maxSharedConnections))
  if (load.devices < devicesWorthAProcess) return 0
  return Math.max(1, cores - (load.hasLab ? 1 : 0), load.staysConnected ? byDescriptors : 0)
}

/** The push connections of all, and what the processes share. */
const descriptorsForLab = (load: Load): number => descriptorsFor(load.devices, load)

function refuseTooFew(who: string, needed: number, limit: number, otherwise: string): void {
  if (needed <= limit) return
  throw new InputError(
    `${who} needs ${needed} file descriptors and may have ${limit}: raise the limit ("ulimit -n ${needed}" in the shell), ${otherwise}`,
  )
}

/** A machine has some 28,000 ports for one address of its own and one server. */
const portsOfAnAddress = 20_000

/** The address that a worker's connections come from, where one address has too few ports for all and the server is on this machine. */
export function sourceAddressOf(worker: number, load: Load, url: string): string | undefined {
  if (!load.staysConnected || load.devices <= portsOfAnAddress || !isLoopback(url)) return undefined
  return `127.0.${Math.floor((worker + 1) / 256)}.${(worker + 1) % 256}`
}

function isLoopback(url: string): boolean {
  const { hostname } = new URL(url)
  return hostname === 'localhost' || (isIPv4(hostname) && hostname.startsWith('127.'))
}
