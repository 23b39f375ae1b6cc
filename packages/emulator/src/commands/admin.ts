import { httpTransport } from '@certfleet/agent-core'
import type { Command } from 'commander'
import { InputError } from '../scenario/input-error.ts'
import {
  type AdminOptions,
  type AssignOptions,
  assign,
  type CertificateOptions,
  createProfile,
  deleteProfile,
  type RevokeOptions,
  revoke,
  tellCertificates,
  tellDevices,
  tellProfiles,
} from './admin-actions.ts'
import { AdminRefusal, adminClient } from './admin-client.ts'
import { definePfx, type Work } from './admin-pfx.ts'
import { adminToken } from './admin-token.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { wholeNumber } from './options.ts'
import { tellProblem } from './tell.ts'

const examples = `
Examples:
  $ export CERTFLEET_ADMIN_TOKEN=...            # adminToken of the first line that "certfleet lab" prints
  $ certfleet admin --url http://127.0.0.1:8085 profiles list
  $ certfleet admin --url http://127.0.0.1:8085 profiles create wifi.json
  $ certfleet admin --url http://127.0.0.1:8085 assign "Wi-Fi" --all-devices
  $ certfleet admin --url http://127.0.0.1:8085 certificates --expiring 30 --json

The token is the first line of --token-file, else CERTFLEET_ADMIN_TOKEN; never an option's value: those show in the process list.
Exit code 1 when the lab refuses, 2 for bad input. Groups, users and more: the same URL by curl, in the shapes of Microsoft Graph.`

const assignExamples = `
Examples:
  $ certfleet admin --url http://127.0.0.1:8085 assign "Wi-Fi" --group Pilots --exclude-group Kiosks
  $ certfleet admin --url http://127.0.0.1:8085 assign "Wi-Fi" --none --all-users

Adds to what the profile is assigned to already; --none takes that away first. Profiles and groups are named by id, or by a name
that only one of them has.`

const certificateExamples = `
Examples:
  $ certfleet admin --url http://127.0.0.1:8085 certificates
  $ certfleet admin --url http://127.0.0.1:8085 certificates --failed --json`

const maxDays = 36_500

/** `certfleet admin`: profiles, assignments, devices and certificates of a lab that runs. */
export function defineAdmin(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const admin = program
    .command('admin')
    .description("Drive a lab's admin API: profiles, assignments, devices, certificates, imported PFX")
    .option('--url <url>', 'the lab, as http://127.0.0.1:8085')
    .option('--token-file <file>', 'file whose first line is the admin token (default: CERTFLEET_ADMIN_TOKEN)')
    .option('--json', 'print one JSON document on stdout')
    .addHelpText('after', examples)
  const run = async (command: Command, work: Work) => end(await withClient(command.optsWithGlobals(), io, work))
  defineProfiles(admin, io, run)
  definePfx(admin, io, run)
  admin
    .command('assign')
    .description('Say whom a profile is for')
    .argument('<profile>', 'id or name')
    .option('--group <group>', 'a group, by id or name; may be given again', collected, [])
    .option('--exclude-group <group>', 'a group whose members do not get it; may be given again', collected, [])
    .option('--all-devices', 'every device')
    .option('--all-users', 'every user')
    .option('--none', 'take away what it is assigned to first')
    .addHelpText('after', assignExamples)
    .action((profile: string, _: AssignOptions, command: Command) =>
      run(command, (client) => assign(profile, command.optsWithGlobals(), client, io)),
    )
  admin
    .command('devices')
    .description('List the devices that registered')
    .action((_: AdminOptions, command: Command) => run(command, (client) => tellDevices(client, command.optsWithGlobals(), io)))
  admin
    .command('certificates')
    .description('List where every profile stands on every device')
    .option('--expiring <days>', 'only those that expire within so many days', wholeNumber(0, maxDays))
    .option('--failed', 'only those that failed, or whose renewal does')
    .addHelpText('after', certificateExamples)
    .action((_: CertificateOptions, command: Command) => run(command, (client) => tellCertificates(client, command.optsWithGlobals(), io)))
  admin
    .command('revoke')
    .description('Revoke a certificate')
    .argument('<serial>', 'its serial number, hexadecimal')
    .option('--reason <reason>', 'a CRLReason of RFC 5280, as keyCompromise (default: unspecified)')
    .action((serial: string, _: RevokeOptions, command: Command) =>
      run(command, (client) => revoke(serial, client, command.optsWithGlobals(), io)),
    )
}

function defineProfiles(admin: Command, io: Io, run: (command: Command, work: Work) => Promise<void>): void {
  const profiles = admin.command('profiles').description('List, create or delete profiles')
  profiles
    .command('list')
    .description('List all profiles, those of files included')
    .action((_: AdminOptions, command: Command) => run(command, (client) => tellProfiles(client, command.optsWithGlobals(), io)))
  profiles
    .command('create')
    .description('Create a profile of Graph JSON, as Graph exports it')
    .argument('<file>', 'file with one Trusted root, SCEP or PFX profile')
    .action((file: string, _: AdminOptions, command: Command) =>
      run(command, (client) => createProfile(file, client, command.optsWithGlobals(), io)),
    )
  profiles
    .command('delete')
    .description('Delete a profile; its devices lose what it gave them')
    .argument('<profile>', 'id or name')
    .action((profile: string, _: AdminOptions, command: Command) =>
      run(command, (client) => deleteProfile(profile, client, command.optsWithGlobals(), io)),
    )
}

async function withClient(options: AdminOptions, io: Io, work: Work): Promise<ExitCode> {
  const { url } = options
  if (url === undefined) throw new InputError('expected --url, the lab: its scheme, host and port')
  const token = await adminToken(url, options.tokenFile, io)
  const transport = httpTransport({ clock: io.clock, allowLoopback: true, allowLinkLocal: true })
  const interrupt = interruptSignal(io)
  try {
    await work(adminClient({ url, token, transport, signal: interrupt.signal }), interrupt.signal)
    return 0
  } catch (error) {
    if (interrupt.signal.aborted && error === interrupt.signal.reason) return 130
    if (!(error instanceof AdminRefusal)) throw error
    tellProblem({ code: error.code, message: error.message }, options.json === true, io)
    return 1
  } finally {
    interrupt.release()
    await transport.close()
  }
}

function collected(value: string, before: readonly string[]): string[] {
  return [...before, value]
}
