import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Results } from '@certfleet/emulator/fleet'
import t from 'tap'
import { exampleProfiles } from '../commands/example.ts'
import { primesFolder } from '../fleet/emulated-keys.ts'
import { endsAs } from '../tooling/process.ts'
import { missing, noNamespaces } from './peers.ts'
import { scepserver, scepserverUrl } from './scepserver.ts'

const challenge = 'open-sesame-17'
const devices = 48
const parallel = 8

/** What `certfleet run` is given. Requests that the server refuses are no reason to fail: serial numbers are. */
const scenario = (root: string, challengeFile: string) => `
devices: { macos: ${devices / 2}, android: ${devices / 2} }
seed: 7
concurrency: ${parallel}
keys: primes
thresholds: [invariants == 0]
legacy-des: true
legacy-sha1: true
target: { scep: { url: "${scepserverUrl}", root: ${JSON.stringify(root)}, challenge: { file: ${JSON.stringify(challengeFile)} } } }
`

t.test("a fleet against Debian's scepserver", { skip: missing(['scepserver'], 'scep') || noNamespaces() }, async (t) => {
  const folder = t.testdir({ challenge: `${challenge}\n`, graph: profiles() })
  const depot = join(folder, 'depot')
  execFileSync('scepserver', ['ca', '-init', '-keySize', '2048', '-depot', depot])
  const { command } = await scepserver(t, depot, relative('', join(folder, 'socket')), challenge)
  writeFileSync(join(folder, 's.yaml'), scenario(join(depot, 'ca.pem'), join(folder, 'challenge')))
  const inputs = [join(folder, 's.yaml'), '--profiles', join(folder, 'graph'), '--key-pool', await primesFolder(join(folder, 'keys'))]
  const ended = await command(['run', ...inputs, '--report', join(folder, 'report')])
  endsAs(t, ended, { exitCode: 1, output: /VIOLATED +serial numbers are unique/ })
  const results: Results = JSON.parse(readFileSync(join(folder, 'report', 'results.json'), 'utf8'))
  t.match(results, { verdict: 'failed', devices, thresholds: [{ threshold: 'invariants == 0', passed: false }] })

  // Where two requests meet in its depot it refuses one of them, or gives both the same serial number.
  const { installed, failed } = results.outcomes
  t.strictSame(Object.keys(results.failuresByCode).join(), failed > 0 ? 'ERR_ENROLLMENT_REJECTED' : '')
  t.equal(installed + failed, devices)
  t.ok(installed > devices / 2, `${installed} certificates`)
  const [serials, ...others] = results.invariants
  t.match(serials, { name: 'serial numbers are unique', checked: installed })
  t.ok((serials?.violations ?? 0) > 0, 'serial numbers that scepserver gave twice')
  for (const found of serials?.found ?? [])
    t.match(found, /^serial [0-9a-f]+ of .*: \d certificates: (macos|android)-\d+, (macos|android)-\d+/)
  t.ok(
    others.every(({ violations }) => violations === 0),
    JSON.stringify(others),
  )
  t.notMatch(ended.output, new RegExp(challenge))
})

/** The example's, with the one kind of alternative name that scepserver takes over; it drops UPNs, and e-mail addresses in subjects. */
function profiles(): Record<string, string> {
  const names = readdirSync(exampleProfiles).filter((name) => /^(macos|android|links)/.test(name))
  const withEmail = [{ sanType: 'emailAddress', name: '{{EmailAddress}}' }]
  return Object.fromEntries(
    names.map((name) => {
      const profile = JSON.parse(readFileSync(join(exampleProfiles, name), 'utf8'))
      if ('customSubjectAlternativeNames' in profile) {
        profile.subjectAlternativeNameType = 'emailAddress'
        profile.customSubjectAlternativeNames = withEmail
      }
      return [name, JSON.stringify(profile)]
    }),
  )
}
