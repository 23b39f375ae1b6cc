/** Prints the line coverage of the last `npm run check`, and fails below 90 %. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { measureCoverage } from './measure-coverage.ts'

const requiredPercent = 90
const root = fileURLToPath(new URL('../..', import.meta.url))
const counts = `${root}.tap/coverage`
const files = existsSync(counts) ? measureCoverage(root, counts) : []
if (files.length === 0) console.error('nothing was counted: run "npm run check", which ends with this')

let covered = 0
let total = 0
for (const file of files) {
  const lines = file.covered.length + file.uncovered.length
  covered += file.covered.length
  total += lines
  if (file.uncovered.length > 0) console.log(`${percent(file.covered.length, lines)} %  ${file.file}  ${ranges(file.uncovered)}`)
}
console.log(`${percent(covered, total)} %  of ${total} lines, ${requiredPercent} % required`)
if (total === 0 || covered * 100 < total * requiredPercent) process.exitCode = 1

function percent(part: number, whole: number): string {
  return ((100 * part) / whole).toFixed(1).padStart(5)
}

/** [1, 2, 3, 7] as "1-3 7". */
function ranges(lines: readonly number[]): string {
  const starts = lines.filter((line, i) => line - 1 !== lines[i - 1])
  const ends = lines.filter((line, i) => line + 1 !== lines[i + 1])
  return starts.map((start, i) => (start === ends[i] ? `${start}` : `${start}-${ends[i]}`)).join(' ')
}
