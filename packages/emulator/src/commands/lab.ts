import { randomInt } from 'node:crypto'
import type { Command } from 'commander'
import { isOnThisMachine } from '../keys/target.ts'
import {
  type AdminFiles,
  adminPolicies,
  createLab,
  type Hostility,
  type Lab,
  type NdesAdministrator,
  type ServedLab,
  serveLab,
  type ValidationApiOptions,
} from '../lab/index.ts'
import { overriddenFacts, overriddenLines } from '../report/overridden.ts'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import { populationOf } from '../scenario/population.ts'
import type { Seed } from '../scenario/schema.ts'
import { type Import, type RetargetOptions, retarget } from '../tenant/index.ts'
import { challengeFrom, readRoot, urlOption } from './enroll-input.ts'
import { type FactOptions, withFacts } from './fact-option.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { readLabCa, setRegistry } from './lab-ca.ts'
import { logLine, withLog } from './lab-log.ts'
import { type LabState, openLabState } from './lab-state.ts'
import { addressOption, type LegacyOptions, seedOption, wholeNumber, withLegacy } from './options.ts'
import { readTenant } from './tenant-input.ts'

interface LabCommandOptions extends LegacyOptions, FactOptions {
  readonly port: number
  readonly host: string
  readonly state?: string
  readonly challenge?: string
  readonly challengeFile?: string
  readonly allowBadCsrVersion?: true
  readonly ndesFailures?: true
  readonly ndesCapabilities?: true
  readonly attributeEndDate?: true
  readonly mscepAdmin?: true
  readonly validationApi?: true
  readonly hostility: number
  readonly hostilitySeed?: Seed
  readonly profiles?: string
  readonly tenant?: string
  readonly scepUrl?: string
  readonly root?: string
  readonly templates?: string
}

const examples = `
Examples:
  $ certfleet lab --port 8085 --state lab-state
  $ certfleet lab --port 8085 --challenge secret
  $ certfleet lab --host 10.0.0.5 --port 8085
  $ certfleet lab --profiles export/ --tenant tenant.yaml
  $ certfleet lab --validation-api --scep-url https://scep.example.com/scep --root root.pem
  $ certfleet lab --templates templates.yaml
  $ certfleet lab --ndes-failures --fact ndes.bad-request=2148073478

The first line on stdout is JSON: scepUrl, policyUrl, registerUrl, pushUrl, challengeUrl, pfxUrl, reportUrl, crlUrl, ocspUrl, caFingerprint
(SHA-256 of the root), registrationToken, which a device needs to register, adminUrl and adminToken for "certfleet admin"; with --mscep-admin
and --validation-api their URLs and credentials too. Events go to stderr, one a line, without secrets.
The profiles (default: the example tenant's) get the lab's root and URL; a device that the tenant does not know gets what
all devices and users of its platform get. With --scep-url and --root they get those: devices enrol at somebody else's server, and the lab
is the service that it asks. --state keeps CA, certificates, registrations and credentials in a folder, mode 700.
Serves 127.0.0.1 until SIGINT or SIGTERM. Another --host is for a private network alone: tokens and challenges go over it in the clear.

A file of --templates, read at the start; a template needs its name and validityDays, registry values name templates by the key usage
of the request:
  templates:
    - name: Signing
      displayName: Wi-Fi signing
      validityDays: 90
      renewalPeriodDays: 14
      minKeyBits: 2048
      keyUsages: [digitalSignature]
      applicationPolicies: [1.3.6.1.5.5.7.3.2]
      enrollAccounts: [ndes, connector]
      signatureIsProofOfOrigin: false
  registry:
    SignatureTemplate: Signing
    EncryptionTemplate: CertfleetDevice
    GeneralPurposeTemplate: CertfleetDevice`

export function defineLab(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const command = program
    .command('lab')
    .description('Serve CA, NDES, policy service and report inbox, for agents and SCEP clients of any make')
    .option('--port <n>', 'port; 0 is any that is free', wholeNumber(0, 65_535), 0)
    .option('--host <address>', 'address of this machine to serve on, on a private network', addressOption, '127.0.0.1')
    .option('--state <dir>', 'folder that keeps the lab over a restart (default: memory)')
    .option('--challenge <static>', "take every request with this challenge too, beside the lab's own one-time challenges")
    .option('--challenge-file <file>', 'file whose first line is that challenge')
    .option('--allow-bad-csr-version', 'read certificate requests whose version is not 0, as some Apple clients send them')
    .option('--ndes-failures', 'write failures as NDES does: an HRESULT, one zero byte of content, no certificates')
    .option('--ndes-capabilities', 'list the capabilities that NDES lists: SHA-1, which takes --legacy-sha1 besides, and no AES')
    .option('--attribute-end-date', 'EDITF_ATTRIBUTEENDDATE: grant the lifetime that a profile asks for, except on iOS and macOS')
    .option('--mscep-admin', 'hand out one-time passwords at /certsrv/mscep_admin to an administrator of its own')
    .option('--validation-api', "let somebody else's SCEP server validate requests here, as it would with Intune")
    .option(
      '--hostility <percent>',
      'meet so many of the requests with an unkindness: wrong nonces, 503, cut-off replies and more',
      wholeNumber(0, 100),
      0,
    )
    .option('--hostility-seed <seed>', 'replays the unkindnesses of an earlier lab (default: drawn and told)', seedOption)
    .option('--profiles <path>', 'file or folder of Graph JSON (default: the example)')
    .option('--tenant <file>', 'tenant YAML (default: every device is a guest)')
    .option('--scep-url <url>', "somebody else's SCEP server, for the profiles (default: the lab's)", urlOption)
    .option('--root <file>', 'root CA certificate of that server, PEM or DER')
    .option('--templates <file>', "certificate templates of the CA and NDES's registry, YAML (default: CertfleetDevice for all)")
    .addHelpText('after', examples)
  withFacts(command)
  withLegacy(command, 'read requests encrypted with single DES', 'read requests signed with SHA-1').action(
    async (options: LabCommandOptions) => end(await lab(options, io)),
  )
}

async function lab(options: LabCommandOptions, io: Io): Promise<ExitCode> {
  const staticChallenge = await challengeFrom(options)
  const foreign = await foreignServer(options)
  const { templates, registry } = await readLabCa(options.templates)
  const { imported, tenant } = await readTenant(options, populationOf({}))
  const state = await openLabState(options.state)
  const interrupt = interruptSignal(io)
  try {
    let files: AdminFiles | undefined
    const { legacyDes, legacySha1, allowBadCsrVersion, ndesFailures, ndesCapabilities, fact: overrides } = options
    const store = withLog(state.store, (entry) => io.err(`${printable(logLine(entry))}\n`))
    const credentials = await credentialsOf(options, state)
    const { registrationToken, adminToken, administrator, application } = credentials
    const policies = adminPolicies(store, { files: () => files })
    const service = await createLab({
      store,
      clock: io.clock,
      policyFor: policies.policyFor,
      userFor: policies.userFor,
      admin: { token: adminToken, policies },
      registrationToken,
      staticChallenge,
      legacyDes,
      legacySha1,
      allowBadCsrVersion,
      ndesFailures,
      overrides,
      templates,
      ndes: { administrators: administrator ? [administrator] : [], ndesCapabilities },
      validationApi: application,
      hostility: hostilityOf(options, io),
    })
    await setEndDateFlag(service, options.attributeEndDate ?? false)
    await setRegistry(service, registry)
    const served = await serveLab(service, options).catch((error: NodeJS.ErrnoException) => refuseAddress(options, error))
    if (!isOnThisMachine(served.url)) io.err(networkWarning)
    const own = { root: service.rootCertificate, issuing: service.issuingCertificate, scepUrl: served.scepUrl }
    const pointed = retarget(imported, { ...(foreign ?? own), templateNames: templates.map(({ name }) => name) })
    for (const line of overriddenLines(overriddenFacts(overrides))) io.err(printable(`${line}\n`))
    files = { imported: pointed.imported, tenant }
    io.err(`the profiles get ${foreign ? "that server's" : "the lab's"} root and URL in ${pointed.replaced.length} places\n`)
    if (foreign) io.err(printable(pfxWarning(imported)))
    io.out(`${JSON.stringify(announcement(service, served, credentials))}\n`)
    await untilAborted(interrupt.signal)
    await served.close()
    io.err('closed\n')
    return 0
  } finally {
    interrupt.release()
    await state.store.close()
  }
}

async function foreignServer({ scepUrl, root }: LabCommandOptions): Promise<RetargetOptions | undefined> {
  if (scepUrl === undefined && root === undefined) return undefined
  if (scepUrl === undefined || root === undefined)
    throw new InputError('--scep-url and --root go together: devices take certificates of a server only under a root that they were given')
  return { scepUrl, root: await readRoot(root) }
}

/** Their CA is asked by the lab's connector alone, which knows no other. */
function pfxWarning({ profiles }: Import): string {
  const named = profiles
    .filter(({ kind }) => kind === 'pkcs' || kind === 'imported-pfx')
    .map(({ displayName }) => JSON.stringify(displayName))
  if (named.length === 0) return ''
  return `warning: ${named.join(', ')}: the lab still delivers these PFX itself, of its own CA or as imported; devices refuse them under that server's root\n`
}

/** The state folder remembers the flag of the last time, and the command line decides. */
async function setEndDateFlag(service: Lab, attributeEndDate: boolean): Promise<void> {
  if (service.caSettings().attributeEndDate.running === attributeEndDate) return
  await service.configureCa({ attributeEndDate })
  await service.restartCa()
}

interface Credentials {
  readonly registrationToken: string
  readonly adminToken: string
  readonly administrator?: NdesAdministrator
  readonly application?: ValidationApiOptions
}

/** What entitles to the lab's services, the same for as long as the state folder lives. */
async function credentialsOf({ mscepAdmin, validationApi }: LabCommandOptions, { secret }: LabState): Promise<Credentials> {
  return {
    registrationToken: await secret('registration-token'),
    adminToken: await secret('admin-token'),
    ...(mscepAdmin && { administrator: { name: 'admin', password: await secret('mscep-admin-password') } }),
    ...(validationApi && {
      application: { tenant: 'lab', clientId: 'scep-server', clientSecret: await secret('validation-api-secret') },
    }),
  }
}

function hostilityOf({ hostility: level, hostilitySeed: seed = randomInt(2 ** 32) }: LabCommandOptions, io: Io): Hostility | undefined {
  if (level === 0) return undefined
  io.err(`hostility ${level} %, seed ${seed}\n`)
  return { level, seed }
}

function announcement({ caFingerprint }: Lab, { url, scepUrl, policyUrl }: ServedLab, credentials: Credentials) {
  const { registrationToken, adminToken, administrator, application } = credentials
  const beside = (name: string) => new URL(name, policyUrl).href
  return {
    scepUrl,
    policyUrl,
    registerUrl: beside('register'),
    pushUrl: beside('push').replace(/^http/, 'ws'),
    challengeUrl: beside('challenge'),
    pfxUrl: beside('pfx'),
    reportUrl: beside('report'),
    crlUrl: `${url}/crl`,
    ocspUrl: `${url}/ocsp`,
    adminUrl: `${url}/v1.0/`,
    caFingerprint,
    registrationToken,
    adminToken,
    ...(administrator && {
      mscepAdmin: { url: `${url}/certsrv/mscep_admin/`, user: administrator.name, password: administrator.password },
    }),
    ...(application && { validationApi: { authority: url, graph: url, ...application } }),
  }
}

const networkWarning =
  'warning: whoever reaches that address can reach the lab, over plain http, and its CA is for tests: use it on a private network alone\n'

function refuseAddress({ host, port }: LabCommandOptions, { code, message }: NodeJS.ErrnoException): never {
  if (code === 'EADDRNOTAVAIL') throw new InputError(`--host ${host}: no address of this machine (EADDRNOTAVAIL); name one that it has`)
  throw new InputError(`--port ${port}: cannot be served (${code ?? message}); name another, or 0 for any that is free`)
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
