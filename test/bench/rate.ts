import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { type FleetResults, runFleet, scepTargetOf, type Workshop, withoutWindows } from './fleet-run.ts'
import { startLab } from './lab-process.ts'
import { ratio, spread } from './measure.ts'
import { notMeasured, type Row, row } from './row.ts'
import { type PeerRound, parallel, peerIsAbsent, runPeer } from './scep-peer.ts'

export interface RateSizes {
  readonly rounds: number
  readonly devices: number
  readonly peerEnrolments: number
}

interface Round {
  readonly enrollmentsPerSecond: number
  /** Of the processes with devices, and of the lab. */
  readonly cpuMsPerEnrolment: number
}

type Rounds = Readonly<Record<Kind, readonly Round[]>>

const target = { atLeast: 7, wanted: 10 }
const names = {
  scep: 'SCEP alone, lab in memory',
  whole: 'whole devices, lab in memory',
  kept: 'SCEP alone, lab on disk',
} as const
type Kind = keyof typeof names
const kinds = Object.keys(names) as Kind[]

/** Rounds of fleet and peer in turn, each with a CA of its own. */
export async function rateRows(workshop: Workshop, { rounds, devices, peerEnrolments }: RateSizes): Promise<Row[]> {
  const absent = await peerIsAbsent()
  const fleet: Record<Kind, Round[]> = { scep: [], whole: [], kept: [] }
  const peers: PeerRound[] = []
  for (let round = 1; round <= rounds; round++) {
    workshop.tell(`rate, round ${round} of ${rounds}: ${devices} devices three times, ${peerEnrolments} of scepclient`)
    if (!absent) peers.push(await runPeer(workshop, peerEnrolments))
    for (const kind of kinds) fleet[kind].push(await runs[kind](workshop, { devices: withoutWindows(devices), keys: 'primes' }))
  }
  return [...ratios(fleet, peers, absent), ...absolutes(fleet, peers), ...cpuRows(fleet, peers)]
}

const runs: Readonly<Record<Kind, (workshop: Workshop, scenario: object) => Promise<Round>>> = {
  scep: (workshop, scenario) => atLab(workshop, scenario),
  whole: async (workshop, scenario) => roundOf(await runFleet(workshop, scenario)),
  kept: async (workshop, scenario) => atLab(workshop, scenario, await mkdtemp(join(workshop.folder, 'lab-'))),
}

async function atLab(workshop: Workshop, scenario: object, stateFolder?: string): Promise<Round> {
  const lab = await startLab(stateFolder)
  try {
    const target = await scepTargetOf(workshop, lab)
    const startMs = await lab.cpuMs()
    const results = await runFleet(workshop, { ...scenario, ...target })
    return roundOf(results, (await lab.cpuMs()) - startMs)
  } finally {
    await lab.stop()
  }
}

function roundOf({ enrollmentsPerSecond, outcomes, generator }: FleetResults, labMs = 0): Round {
  const cpuMs = generator.processes.reduce((sum, process) => sum + process.cpuMs, labMs)
  return { enrollmentsPerSecond, cpuMsPerEnrolment: cpuMs / outcomes.installed }
}

function ratios(fleet: Rounds, peers: readonly PeerRound[], absent: string | undefined): Row[] {
  return kinds.map((kind) => {
    const name = `rate, pooled keys: ${names[kind]} / ${parallel} scepclient`
    const aim = kind === 'kept' ? null : target
    if (absent !== undefined) return notMeasured(name, 'ratio', absent, aim)
    return row(name, 'ratio', ratio(fleet[kind].map(rateOf), peers.map(rateOf)), aim)
  })
}

const durability: Readonly<Record<Kind, string>> = {
  scep: 'keeps nothing',
  whole: 'keeps nothing; registration, policy, roots, challenge, report and judging beside SCEP',
  kept: 'LMDB, on the disk (fsync) before each answer',
}

function absolutes(fleet: Rounds, peers: readonly PeerRound[]): Row[] {
  const own = kinds.map((kind) => row(`  certfleet: ${names[kind]}`, '/s', spread(fleet[kind].map(rateOf)), null, durability[kind]))
  if (peers.length === 0) return own
  const sum = (name: 'enrolled' | 'doubled') => peers.reduce((all, peer) => all + peer[name], 0)
  const note = `files, no fsync; of ${sum('enrolled')} certificates ${sum('doubled')} have a serial number that another has too`
  return [...own, row(`  ${parallel} scepclient, scepserver`, '/s', spread(peers.map(rateOf)), null, note)]
}

/** What a rate comes to on cores that have nothing else to do. */
function cpuRows(fleet: Rounds, peers: readonly PeerRound[]): Row[] {
  const own = kinds.map((kind) => row(`  CPU of both sides: ${names[kind]}`, 'ms', spread(fleet[kind].map(cpuOf))))
  if (peers.length === 0) return own
  return [...own, row(`  CPU of both sides: ${parallel} scepclient, scepserver`, 'ms', spread(peers.map(cpuOf)))]
}

const rateOf = ({ enrollmentsPerSecond }: Round): number => enrollmentsPerSecond
const cpuOf = ({ cpuMsPerEnrolment }: Round): number => cpuMsPerEnrolment
