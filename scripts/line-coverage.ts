import type { Profiler } from 'node:inspector'
import { decodedMappings, type SourceMapInput, TraceMap } from '@jridgewell/trace-mapping'

/** The functions of one module as V8 counted them in one process. */
export type ModuleRun = readonly Profiler.FunctionCoverage[]

/** Lines are numbered from 1, as the source file has them. */
export interface LineCoverage {
  readonly covered: readonly number[]
  readonly uncovered: readonly number[]
}

/**
 * Which lines of a source file ran, judged on the module that the compiler made of it.
 *
 * A line counts when the compiler emitted code for it: types, comments, blank lines and lone brackets do not.
 * It is covered when some of that code ran in some process. No run at all leaves every line uncovered.
 */
export function lineCoverage(generated: string, map: SourceMapInput, source: string, runs: readonly ModuleRun[]): LineCoverage {
  const ran = ranOffsets(generated, runs)
  const sourceLines = source.split('\n')
  const states = new Map<number, boolean>()
  for (const segment of segmentsOf(generated, map)) {
    if (!hasCode(sourceLines[segment.sourceLine] ?? '')) continue
    const covered = ran.subarray(segment.start, segment.end).includes(1)
    states.set(segment.sourceLine + 1, covered || (states.get(segment.sourceLine + 1) ?? false))
  }
  const lines = [...states.keys()].sort((a, b) => a - b)
  return { covered: lines.filter((line) => states.get(line)), uncovered: lines.filter((line) => !states.get(line)) }
}

/** One octet a character: 1 where some process ran it. */
function ranOffsets(generated: string, runs: readonly ModuleRun[]): Uint8Array {
  const ran = new Uint8Array(generated.length)
  for (const functions of runs) {
    const here = new Uint8Array(generated.length)
    // Outer ranges come before the ones inside them, so that the innermost has the last word.
    for (const { ranges } of functions) for (const range of ranges) here.fill(Math.min(range.count, 1), range.startOffset, range.endOffset)
    for (let i = 0; i < ran.length; i++) ran[i] = (ran[i] as number) | (here[i] as number)
  }
  return ran
}

interface Segment {
  readonly start: number
  readonly end: number
  readonly sourceLine: number
}

function* segmentsOf(generated: string, map: SourceMapInput): Generator<Segment> {
  const lines = generated.split('\n')
  const mappings = decodedMappings(new TraceMap(map))
  let lineStart = 0
  for (const [index, line] of lines.entries()) {
    const segments = mappings[index] ?? []
    for (const [i, segment] of segments.entries()) {
      const sourceLine = segment[2]
      if (sourceLine === undefined) continue
      yield { start: lineStart + segment[0], end: lineStart + (segments[i + 1]?.[0] ?? line.length), sourceLine }
    }
    lineStart += line.length + 1
  }
}

/** The compiler maps comments that it keeps, and the brackets that close a block. */
function hasCode(sourceLine: string): boolean {
  return !/^\s*(\/\/|\/\*|\*[\s/]|[\s()[\]{},;*]*$)/.test(sourceLine)
}
