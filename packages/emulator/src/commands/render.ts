import { AgentError, type DevicePolicy, type FailedProfile, parsePolicy, type ScepProfile } from '@certfleet/agent-core'
import { type Delivery, deliveryOf, type Os, parseOs, type Rendering, renderFor, supportedKeyBits } from '@certfleet/platforms'
import { type Command, Option } from 'commander'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import { populationOf } from '../scenario/population.ts'
import { type FleetPlatform, fleetPlatforms } from '../scenario/schema.ts'
import { assignProfiles, renderPolicy, type Tenant } from '../tenant/index.ts'
import { type ChallengeOptions, challengeOf } from './enroll-input.ts'
import { type FactOptions, refuseFactsOfOthers, withFacts } from './fact-option.ts'
import type { ExitCode, Io } from './io.ts'
import { createFile } from './new-file.ts'
import { readingInput } from './options.ts'
import { readTenant } from './tenant-input.ts'

interface RenderOptions extends ChallengeOptions, FactOptions {
  readonly platform: FleetPlatform
  readonly device: string
  readonly tenant?: string
  readonly out?: string
  readonly json?: true
}

const examples = `
Examples:
  $ certfleet render export/ --platform ios --device phone-1 --out phone-1.mobileconfig
  $ certfleet render export/wifi.json --platform macos --device mac-7 --tenant tenant.yaml --challenge-file challenge.txt --out mac-7.mobileconfig
  $ certfleet render export/ --platform windows --device laptop-1 --fact windows.csp.challenge=plain --json

With --tenant the device is one that the file names; without, one is made up that gets every profile of its platform.
What the form has no place for is told on stderr, a line each. There is a challenge in it only where one is given, by --challenge-file or
CERTFLEET_CHALLENGE rather than by option, and a file that holds one has mode 600. A PFX is not rendered: no one has issued it.

Exit code 1 when a profile could not be delivered; the others are rendered all the same.`

export function defineRender(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const command = program
    .command('render')
    .description("Write what one device receives in its OS's own form, such as an Apple configuration profile")
    .argument('<profiles>', 'file or folder of Graph JSON')
    .addOption(new Option('--platform <name>', 'the platform of the device').choices(fleetPlatforms).makeOptionMandatory())
    .requiredOption('--device <id>', 'whom it is for')
    .option('--tenant <file>', 'tenant YAML, which names the device (default: a made-up one)')
    .option('--out <file>', 'write it there; an existing file is never overwritten (default: stdout)')
    .option('--challenge <text>', 'challenge password of its SCEP requests')
    .option('--challenge-file <file>', 'file whose first line is that challenge password')
    .option('--json', 'print { rendering, lost } as one JSON document on stdout')
    .addHelpText('after', examples)
  withFacts(command).action(async (profiles: string, options: RenderOptions) => end(await render(profiles, options, io)))
}

async function render(profiles: string, options: RenderOptions, io: Io): Promise<ExitCode> {
  const challenge = await challengeOf(options, io)
  const { policy, os } = await policyFor(profiles, options)
  const say = (line: string) => io.err(printable(`${line}\n`))
  for (const { displayName, message } of policy.failedProfiles) say(`"${displayName}": not delivered: ${message}`)
  for (const { displayName } of policy.pfxProfiles) say(`"${displayName}": not rendered: its PFX would have to be issued first`)
  const delivery = deliveryOf(options.device, policy, { challenges: challengesFor(policy, challenge), pfx: new Map() })
  if (delivery.roots.length + delivery.scep.length === 0) throw new InputError(`${profiles}: has nothing for device "${options.device}"`)
  if (challenge === undefined && delivery.scep.length > 0) say('rendered without a challenge; give one with --challenge-file')
  const rendering = await readingInput(() => renderFor(os.platform, os.version, delivery, options.fact))
  for (const { id, setting, reason } of rendering.lost) say(`${nameOf(id, delivery)}: ${setting} is lost: ${reason}`)
  await write(rendering, challenge !== undefined, options, io)
  return policy.failedProfiles.length === 0 ? 0 : 1
}

async function policyFor(profiles: string, options: RenderOptions): Promise<{ policy: DevicePolicy; os: Os }> {
  const { platform, device: id } = options
  const { imported, tenant } = await readTenant({ ...options, profiles }, populationOf({ [platform]: 1 }))
  const world = options.tenant === undefined ? madeUp(tenant, id) : tenant
  const device = world.devices.get(id)
  if (device === undefined) throw new InputError(`--device ${id}: ${tenant.file} names no such device`)
  if (device.platform !== platform) throw new InputError(`--platform ${platform}: device "${id}" is ${device.platform} in ${tenant.file}`)
  const { intent } = assignProfiles(imported, world)
  const document = renderPolicy(intent, world, id, { revision: 1 })
  const os = await readingInput(() => parseOs(platform, device.osVersion, options.fact))
  refuseFactsOfOthers(options.fact, [device])
  return { policy: accepted(parsePolicy(Buffer.from(JSON.stringify(document)), id), os), os }
}

/** Without the profiles that the OS cannot follow: they fail, the others go on. */
function accepted(policy: DevicePolicy, os: Os): DevicePolicy {
  const judged = policy.scepProfiles.map((profile) => ({ profile, failure: failureOf(profile, os) }))
  return {
    ...policy,
    scepProfiles: judged.flatMap(({ profile, failure }) => (failure ? [] : [profile])),
    failedProfiles: [...policy.failedProfiles, ...judged.flatMap(({ failure }) => failure ?? [])],
  }
}

function failureOf({ id, displayName, principal, request }: ScepProfile, os: Os): FailedProfile | undefined {
  try {
    supportedKeyBits(request.keySpec, os)
    return undefined
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return { id, displayName, principal, code: 'ERR_UNSUPPORTED', message: error.message }
  }
}

/** The one device of a generated tenant, under the id that was asked for. */
function madeUp(tenant: Tenant, id: string): Tenant {
  return { ...tenant, devices: new Map([...tenant.devices.values()].map((device) => [id, { ...device, id }])) }
}

function challengesFor({ scepProfiles }: DevicePolicy, challenge: string | undefined): ReadonlyMap<string, string> {
  return new Map(challenge === undefined ? [] : scepProfiles.map(({ id }) => [id, challenge]))
}

function nameOf(id: string, { roots, scep, pfx }: Delivery): string {
  const named = [...scep, ...pfx, ...roots].find((one) => one.id === id)
  return `"${named?.displayName ?? id}"`
}

async function write({ lost, ...rendering }: Rendering, isSecret: boolean, { out, json }: RenderOptions, io: Io): Promise<void> {
  if (out !== undefined) await createFile(out, rendering.text, isSecret ? 0o600 : 0o644)
  const { text, ...kind } = rendering
  if (json) io.out(`${JSON.stringify({ rendering: { ...kind, ...(out === undefined ? { text } : { file: out }) }, lost })}\n`)
  else io.out(out === undefined ? text : printable(`${out}\n`))
}
