import { compareVersions, type Management, type Os, off, type Subject } from './os.ts'

/**
 * How far a fact can be trusted: `V` read in the source, `D` decoded from bytes that the source publishes,
 * `I` inferred from the source, `K` general knowledge. None was tried on a device.
 */
export type Confidence = 'V' | 'D' | 'I' | 'K'

/** One thing that one or more systems do, or the service behind them, with its source. Behaviour reads `value`; the number lives nowhere else. */
export interface Fact<Value = unknown> {
  /** `<system or topic>.<what>`; never changes once published. */
  readonly id: string
  readonly platforms: readonly Subject[]
  /** The first OS version that it holds for. Absent: all. */
  readonly since?: string
  /** The first OS version that it no longer holds for. Absent: all. */
  readonly until?: string
  /** What the device must be enrolled as. Absent: whatever it is. */
  readonly management?: readonly Management[]
  /** One sentence. */
  readonly effect: string
  readonly value: Value
  /**
   * What else the value could be, all that an override may say; `off` where the fact may not hold at all.
   * Empty: nothing else can be emulated. Absent: any number, boolean or text, whichever the value is.
   */
  readonly alternatives?: readonly (Value | typeof off)[]
  /** Source key and row, several parted by `; `. The keys are explained in `sources.ts`. */
  readonly source: string
  readonly confidence: Confidence
  /** The source is the log or capture of one device. */
  readonly singleLog?: true
}

/** A literal stands for its kind: another number may be said in place of a number. */
type Kind<Value> = Value extends boolean ? boolean : Value extends number ? number : Value

/** What a fact says of a system, or of the service: its value, or what `overrides` say in its place. */
export function says<Value>(fact: Pick<Fact<Value>, 'id' | 'value' | 'alternatives'>, { overrides }: Pick<Os, 'overrides'>): Kind<Value> {
  const said = overrides?.get(fact.id)
  return (said === undefined || said === off ? fact.value : said) as Kind<Value>
}

/** Whether a fact was switched off; what the service does has no version. */
export function isOff({ id }: Pick<Fact, 'id'>, { overrides }: Pick<Os, 'overrides'>): boolean {
  return overrides?.get(id) === off
}

/** Whether a fact is about a system at its version, and was not switched off. */
export function holds(fact: Fact, os: Os): boolean {
  if (isOff(fact, os)) return false
  if (!fact.platforms.includes(os.system)) return false
  if (fact.management !== undefined && !fact.management.includes(os.management)) return false
  if (fact.since !== undefined && compareVersions(os.version, fact.since) < 0) return false
  return fact.until === undefined || compareVersions(os.version, fact.until) < 0
}
