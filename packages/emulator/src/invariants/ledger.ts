import type { InvariantResult } from '../report/schema.ts'
import { type CertificateFinding, type DeviceFindings, type InvariantId, invariantNames, type Judgement } from './names.ts'

/** What the CA of the embedded lab has on record. */
export interface LabIssue {
  /** Hexadecimal. */
  readonly serialNumber: string
  /** Absent where the lab knows of none. */
  readonly deviceId?: string | undefined
}

export interface RunEnd {
  /** Everything that the embedded lab issued in this run. Absent: another CA, whose records nobody sees. */
  readonly labIssued?: Iterable<LabIssue> | undefined
  /** Devices that lost what they had, as their worker crashed: what was issued for them before is nobody's fault. Default none. */
  readonly crashed?: ReadonlySet<string> | undefined
}

/** Adds up what is said of devices, of whatever process and in whatever order. */
export interface InvariantLedger {
  /** A device that comes again, after a restart, counts with both. */
  add(findings: DeviceFindings): void
  /** One result an invariant, in the order of every table. */
  results(end?: RunEnd): InvariantResult[]
}

/** More of one kind say nothing more. */
const maxFound = 20
const maxDevicesNamed = 8
const separator = '\n'

export function invariantLedger(): InvariantLedger {
  const tallies = new Map<InvariantId, Tally>()
  /** By issuer and serial number, the certificates with the devices that have them. */
  const bySerial = new Map<string, Map<string, string> | string>()
  const known = new Set<string>()
  const underWay = new Set<string>()
  /** How many orphans a device told of by itself. */
  const told = new Map<string, number>()
  let certificates = 0

  function tally(id: InvariantId): Tally {
    const found = tallies.get(id) ?? { checked: 0, violations: 0, found: [] }
    tallies.set(id, found)
    return found
  }

  function enter({ issuer, serialNumber, fingerprint }: CertificateFinding, device: string): void {
    const key = `${serialNumber}${separator}${issuer}`
    const holder = `${fingerprint}${separator}${device}`
    const before = bySerial.get(key)
    known.add(serialNumber)
    if (before === undefined) {
      certificates++
      bySerial.set(key, holder)
      return
    }
    const all = typeof before === 'string' ? new Map([holderOf(before)]) : before
    if (!all.has(fingerprint)) certificates++
    all.set(fingerprint, all.get(fingerprint) ?? device)
    if (all.size > 1) bySerial.set(key, all)
  }

  function add({ device, certificates: found, judged, isUnderWay }: DeviceFindings): void {
    for (const certificate of found) enter(certificate, device)
    for (const [id, judgement] of Object.entries(judged)) addUp(tally(id as InvariantId), judgement)
    if (isUnderWay) underWay.add(device)
    told.set(device, (told.get(device) ?? 0) + (judged.orphans?.found.length ?? 0))
  }

  function sharedSerials(): Tally {
    const shared = [...bySerial].filter((entry): entry is [string, Map<string, string>] => typeof entry[1] !== 'string')
    const found = shared.slice(0, maxFound).map(([key, holders]) => sharedText(key, [...holders.values()]))
    return { checked: certificates, violations: shared.length, found }
  }

  function unknownIssues({ labIssued = [], crashed = new Set() }: RunEnd): Judgement {
    const isExcused = (device: string | undefined) => device !== undefined && (crashed.has(device) || underWay.has(device))
    const untold = new Map(told)
    const wasTold = (device: string) => {
      const left = untold.get(device) ?? 0
      untold.set(device, left - 1)
      return left > 0
    }
    const found: string[] = []
    let checked = 0
    for (const { serialNumber, deviceId } of labIssued) {
      checked++
      if (known.has(plainSerial(serialNumber)) || isExcused(deviceId) || (deviceId !== undefined && wasTold(deviceId))) continue
      found.push(`the lab issued serial ${serialNumber}${deviceId === undefined ? '' : ` for ${deviceId}`}, and no device has it`)
    }
    return { checked, found }
  }

  return {
    add,
    results(end = {}) {
      const orphans = { ...tally('orphans'), found: [...tally('orphans').found] }
      // What the devices were answered with is among what the lab issued.
      if (end.labIssued) addUp(Object.assign(orphans, { checked: 0 }), unknownIssues(end))
      const all: Record<InvariantId, Tally> = {
        serials: sharedSerials(),
        keys: tally('keys'),
        roots: tally('roots'),
        orphans,
        removal: tally('removal'),
      }
      return Object.entries(all).map(([id, result]) => ({ name: invariantNames[id as InvariantId], ...result, ...noteOf(id, result, end) }))
    },
  }
}

interface Tally {
  checked: number
  violations: number
  found: string[]
}

function addUp(tally: Tally, { checked, found }: Judgement): void {
  tally.checked += checked
  tally.violations += found.length
  tally.found.push(...found.slice(0, maxFound - tally.found.length))
}

function holderOf(holder: string): [fingerprint: string, device: string] {
  const at = holder.indexOf(separator)
  return [holder.slice(0, at), holder.slice(at + 1)]
}

function sharedText(key: string, devices: readonly string[]): string {
  const [serialNumber, issuer] = holderOf(key)
  const more = devices.length > maxDevicesNamed ? ` and ${devices.length - maxDevicesNamed} more` : ''
  const named = devices.slice(0, maxDevicesNamed).join(', ')
  return `serial ${serialNumber} of ${issuer}: ${devices.length} certificates: ${named}${more}`
}

/** As `CertificateFinding` has it: what was drawn may begin with a zero octet. */
const plainSerial = (serialNumber: string): string => serialNumber.toLowerCase().replace(/^(00)+(?=..)/, '')

function noteOf(id: string, { checked }: Tally, { labIssued }: RunEnd): { note?: string } {
  if (id === 'removal' && checked === 0) return { note: 'not looked at: the run was interrupted, or may be resumed' }
  if (id === 'orphans' && labIssued === undefined)
    return { note: 'by the answers that the devices got; the records of the CA were not there to compare' }
  return {}
}
