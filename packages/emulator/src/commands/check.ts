import { platformNames } from '@certfleet/platforms'
import { type Command, Option } from 'commander'
import { type CheckOptions, runCheck } from './check-run.ts'
import { withFacts } from './fact-option.ts'
import type { ExitCode, Io } from './io.ts'
import { seedOption } from './options.ts'

const examples = `
Examples:
  $ certfleet check export/
  $ certfleet check export/ --tenant tenant.yaml --json > findings.json
  $ certfleet check export/ --tenant tenant.yaml --html check.html
  $ certfleet check export/ --tenant tenant.yaml --platform android
  $ certfleet check export/ --tenant tenant.yaml --explain "Wi-Fi user" --device alice-phone
  $ certfleet check new/ --diff old/ --tenant tenant.yaml
  $ certfleet check export/ --probe
  $ certfleet check export/ --tenant tenant.yaml --emulate
  $ certfleet check --how-to-export > export.ps1

An export is a file or a folder of Graph JSON as Graph, IntuneCD or IntuneManagement write it. Without a tenant file (docs/check.md) only
what the profiles say by themselves is checked; the end of the output tells which questions that leaves open.

Exit code 1 when a finding is an error, or the emulation refutes one; 2 when something cannot be read.`

export function defineCheck(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const command = program
    .command('check')
    .description('Tell before rollout what the Trusted, SCEP, PKCS and imported PFX profiles of a Graph export will do on every device')
    .argument('[path]', 'file or folder of Graph JSON')
    .option('--tenant <file>', 'tenant YAML: users, devices, groups, and what is known of CAs')
    .addOption(new Option('--platform <name>', 'only what is about that platform').choices(platformNames))
    .option('--device <id>', 'only what is about that device')
    .option('--diff <old>', 'what putting <path> in the place of this older export revokes and re-issues')
    .option('--explain <profile>', 'walk one profile, by id or display name, on --device, step by step')
    .option('--probe', 'ask the SCEP servers for their CA certificates, and hold them against the linked roots')
    .option('--emulate', 'enrol the devices as a fleet against a lab, and hold each finding against what became of it')
    .option('--seed <seed>', 'of the emulation (default: 1)', seedOption)
    .option('--html <file>', 'write a report for people; opens in a browser, offline')
    .option('--json', 'print one JSON document on stdout')
    .option('--how-to-export', 'print a script that exports what the check reads')
    .addHelpText('after', examples)
  withFacts(command).action(async (path: string | undefined, options: CheckOptions) => end(await runCheck(path, options, io)))
}
