import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { handlerTransport } from '@certfleet/agent-core'
import { openTarget, parseScenario, populationOf } from '@certfleet/emulator/fleet'
import { generateTenant, loadExport } from '@certfleet/emulator/tenant'
import t from 'tap'
import { exampleProfiles } from '../commands/example.ts'
import { isCommand } from '../fakes/scenario-run.ts'
import { enrolAll } from '../fakes/target-fleet.ts'
import { endsAs } from '../tooling/process.ts'
import { missing, noNamespaces } from './peers.ts'
import { scepserver, scepserverUrl } from './scepserver.ts'

t.setTimeout(120_000)

const challenge = 'open-sesame-17'
const devices = 48
const parallel = 8

/** What `certfleet run` is given. It must fail once it looks at serial numbers: `invariants == 0`. */
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
  const { send, command } = await scepserver(t, depot, relative('', join(folder, 'socket')), challenge)
  const ca = new X509Certificate(readFileSync(join(depot, 'ca.pem')))
  const text = scenario(join(depot, 'ca.pem'), join(folder, 'challenge'))
  if (isCommand) {
    writeFileSync(join(folder, 's.yaml'), text)
    return endsAs(t, await command(['run', join(folder, 's.yaml'), '--profiles', join(folder, 'graph')]), {
      exitCode: 1,
      output: /serial number/,
    })
  }
  const { devices: counts = 1, concurrency } = parseScenario(text, 's.yaml')
  const tenant = generateTenant({ counts: populationOf(counts), domain: 'contoso.example' })
  const target = openTarget(
    { kind: 'scep', scepUrl: scepserverUrl, root: ca.raw.toString('base64'), challenge: { kind: 'static', text: challenge } },
    { imported: await loadExport(join(folder, 'graph')), tenant },
  )
  const specs = [...tenant.devices.values()].map(({ id, platform, osVersion }) => ({ id, platform, osVersion }))
  const run = { target, transport: handlerTransport(send), devices: specs, legacy: true, concurrency: concurrency ?? 1 }
  const ended = await enrolAll(run)
  const leaves = ended.flatMap(({ identities }) => identities.map(({ chain }) => new X509Certificate(chain[0] as Uint8Array)))

  // Where two requests meet in its depot it refuses one of them, or gives both the same serial number.
  const failures = ended.flatMap((device) => device.failures)
  t.strictSame([...new Set(failures.map(({ code }) => code))].join(), failures.length > 0 ? 'ERR_ENROLLMENT_REJECTED' : '')
  t.equal(leaves.length + failures.length, devices)
  t.ok(leaves.length > devices / 2, `${leaves.length} certificates`)
  t.ok(leaves.every((leaf) => leaf.verify(ca.publicKey)))
  const serials = leaves.map(({ serialNumber }) => serialNumber)
  const twice = [...new Set(serials.filter((serial, at) => serials.indexOf(serial) !== at))]
  t.ok(twice.length > 0, `serial numbers that scepserver gave twice: ${twice.join(', ') || 'none'}`)
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
