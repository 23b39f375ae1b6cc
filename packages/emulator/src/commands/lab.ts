import type { Command } from 'commander'
import { createLab, type Lab, type ServedLab, serveLab } from '../lab/index.ts'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import { populationOf } from '../scenario/population.ts'
import { retarget } from '../tenant/index.ts'
import { challengeFrom } from './enroll-input.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { logLine, withLog } from './lab-log.ts'
import { type LabState, openLabState } from './lab-state.ts'
import { labPolicies } from './lab-tenant.ts'
import { type LegacyOptions, wholeNumber, withLegacy } from './options.ts'
import { readTenant } from './tenant-input.ts'

interface LabCommandOptions extends LegacyOptions {
  readonly port: number
  readonly state?: string
  readonly challenge?: string
  readonly challengeFile?: string
  readonly allowBadCsrVersion?: true
  readonly ndesFailures?: true
  readonly profiles?: string
  readonly tenant?: string
}

const examples = `
Examples:
  $ certfleet lab --port 8085 --state lab-state
  $ certfleet lab --port 8085 --challenge secret
  $ certfleet lab --profiles export/ --tenant tenant.yaml

The first line on stdout is JSON: scepUrl, policyUrl, registerUrl, pushUrl, challengeUrl, reportUrl, caFingerprint (SHA-256
of the root) and registrationToken, which a device needs to register. Events go to stderr, one a line, without secrets.
The profiles (default: the example tenant's) get the lab's root and URL; a device that the tenant does not know gets what
all devices and users of its platform get. --state keeps CA, certificates, registrations and token in a folder, mode 700.
Serves 127.0.0.1 only, until SIGINT or SIGTERM.`

export function defineLab(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const command = program
    .command('lab')
    .description('Serve CA, NDES, policy service and report inbox on loopback, for agents and SCEP clients of any make')
    .option('--port <n>', 'port; 0 is any that is free', wholeNumber(0, 65_535), 0)
    .option('--state <dir>', 'folder that keeps the lab over a restart (default: memory)')
    .option('--challenge <static>', "take every request with this challenge too, beside the lab's own one-time challenges")
    .option('--challenge-file <file>', 'file whose first line is that challenge')
    .option('--allow-bad-csr-version', 'read certificate requests whose version is not 0, as some Apple clients send them')
    .option('--ndes-failures', 'write failures as NDES does: an HRESULT, one zero byte of content, no certificates')
    .option('--profiles <path>', 'file or folder of Graph JSON (default: the example)')
    .option('--tenant <file>', 'tenant YAML (default: every device is a guest)')
    .addHelpText('after', examples)
  withLegacy(command, 'read requests encrypted with single DES', 'read requests signed with SHA-1').action(
    async (options: LabCommandOptions) => end(await lab(options, io)),
  )
}

async function lab(options: LabCommandOptions, io: Io): Promise<ExitCode> {
  const staticChallenge = await challengeFrom(options)
  const { imported, tenant } = await readTenant(options, populationOf({}))
  const state = await openLabState(options.state)
  const interrupt = interruptSignal(io)
  try {
    let policyFor: ReturnType<typeof labPolicies> = () => undefined
    const { legacyDes, legacySha1, allowBadCsrVersion, ndesFailures } = options
    const store = withLog(state.store, (entry) => io.err(`${printable(logLine(entry))}\n`))
    const { registrationToken } = state
    const service = await createLab({
      store,
      clock: io.clock,
      policyFor: (id) => policyFor(id),
      registrationToken,
      staticChallenge,
      legacyDes,
      legacySha1,
      allowBadCsrVersion,
      ndesFailures,
    })
    const served = await serveLab(service, { port: options.port }).catch((error: NodeJS.ErrnoException) => refusePort(options.port, error))
    const pointed = retarget(imported, { root: service.rootCertificate, issuing: service.issuingCertificate, scepUrl: served.scepUrl })
    policyFor = labPolicies(pointed.imported, tenant, store)
    io.err(`the profiles get the lab's root and URL in ${pointed.replaced.length} places\n`)
    io.out(`${JSON.stringify(announcement(service, served, state))}\n`)
    await untilAborted(interrupt.signal)
    await served.close()
    io.err('closed\n')
    return 0
  } finally {
    interrupt.release()
    await state.store.close()
  }
}

function announcement({ caFingerprint }: Lab, { scepUrl, policyUrl }: ServedLab, { registrationToken }: LabState) {
  const beside = (name: string) => new URL(name, policyUrl).href
  return {
    scepUrl,
    policyUrl,
    registerUrl: beside('register'),
    pushUrl: beside('push').replace(/^http/, 'ws'),
    challengeUrl: beside('challenge'),
    reportUrl: beside('report'),
    caFingerprint,
    registrationToken,
  }
}

function refusePort(port: number, { code, message }: NodeJS.ErrnoException): never {
  throw new InputError(`--port ${port}: cannot be served (${code ?? message}); name another, or 0 for any that is free`)
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
