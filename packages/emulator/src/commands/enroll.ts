import { AgentError } from '@certfleet/agent-core'
import { type Command, Option } from 'commander'
import { fleetPlatforms } from '../scenario/schema.ts'
import { prepareFolder, writeEnrolled } from './enroll-files.ts'
import { fingerprintOption, keyBitsOption, sanOption, subjectOption, urlOption } from './enroll-input.ts'
import { type EnrollmentKey, makeFileKey, makeStoredKey } from './enroll-key.ts'
import { enrollOnce } from './enroll-once.ts'
import { osOf } from './enroll-os.ts'
import { type ProxyOptions, transportBy, withProxy } from './enroll-proxy.ts'
import { type SettingOptions, settingsOf } from './enroll-settings.ts'
import { tellFailure, tellIssued, tellRejection, warnOfWeakTrust } from './enroll-tell.ts'
import { type FactOptions, refuseFactsOfOthers, withFacts } from './fact-option.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { type KspOptions, kspOf, secretBy, withKsp } from './ksp-options.ts'
import { type LegacyOptions, wholeNumber, withLegacy } from './options.ts'
import { tellProblem } from './tell.ts'

interface EnrollOptions extends LegacyOptions, SettingOptions, KspOptions, ProxyOptions, FactOptions {
  readonly timeout: number
  readonly out: string
  readonly json?: true
}

const examples = `
Examples:
  $ CERTFLEET_CHALLENGE=secret certfleet enroll --url http://127.0.0.1:2016/scep \\
      --subject 'CN=laptop-1,O=Example' --san dns:laptop-1.example.com --out laptop-1
  $ certfleet enroll --url https://ndes.example.com/certsrv/mscep/mscep.dll --challenge-file challenge.txt \\
      --subject 'CN=laptop-1' --root corporate-root.pem --platform ios --out laptop-1
  $ certfleet enroll --url http://127.0.0.1:2016/scep --challenge-file challenge.txt --subject 'CN=laptop-1' \\
      --ksp 'pkcs11:/usr/lib/softhsm/libsofthsm2.so?token=dev0' --pin-file pin.txt --out laptop-1
  $ certfleet enroll --url https://ndes.example.com/certsrv/mscep/mscep.dll --challenge-file challenge.txt --subject 'CN=laptop-1' \\
      --proxy http://proxy.example.com:3128 --proxy-user laptops --proxy-password-file proxy.txt --out laptop-1
  $ certfleet enroll --url https://ndes.example.com/certsrv/mscep/mscep.dll --challenge-file challenge.txt --subject 'CN=laptop-1' \\
      --platform android --fact android.scep.message=corp --out laptop-1
  $ certfleet enroll --from laptop.mobileconfig --out laptop-1
  $ certfleet enroll --from laptop.syncml.xml --profile wifi --url http://127.0.0.1:2016/scep --out laptop-1

A file that --from names is enrolled from as its OS would: URL, subject, alternative names, key, challenge, thumbprint, roots and retries
are taken from it, and what that OS would pass over is told. A thumbprint in it is a SHA-1, which is weak: --root and --ca-fingerprint win.
A PFX in it is not imported.

The challenge is better given by file or CERTFLEET_CHALLENGE: options show in the process list.
Without --ca-fingerprint or --root the first answer is believed, and the CA's fingerprint is told: compare it.

--ksp keeps the key in a key storage, and no key.pem is written; csr.pem then has the request, signed again without its challenge:
  software                    encrypted under DIR/keys/software, by a passphrase
  tpm                         modelled TPM 2.0 under DIR/keys/tpm: the key is not exported, and not protected from who can read DIR
  passport                    modelled Windows Hello container under DIR/keys/passport, opened by the user's PIN
  pkcs11:MODULE?token=LABEL   a PKCS#11 token, by its PIN; with &protection=tpm, one that is a TPM
The PIN or passphrase comes from --pin-file, else CERTFLEET_PIN, else a prompt; it is never an option.
The password at a proxy comes from --proxy-password-file, else CERTFLEET_PROXY_PASSWORD. Proxies that the environment names are not used.
An enrolment that fails destroys the key that it made. "certfleet keys" lists and destroys the others.`

export function defineEnroll(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const command = program
    .command('enroll')
    .description('Obtain one certificate from any SCEP server: a key made here, cert.pem, chain.pem and key.pem (mode 600) in a folder')
    .option('--from <file>', "a delivery in an OS's own form, such as laptop.mobileconfig; the other options win over what it says")
    .option('--profile <id>', 'which SCEP request of that file, where it has several')
    .option('--url <url>', 'the SCEP URL, without operation and message; needed without --from', urlOption)
    .option('--subject <dn>', "distinguished name, such as 'CN=laptop-1,O=Example'; needed where no file names one", subjectOption)
    .option('--san <type:value>', 'subject alternative name, email, upn, dns or uri; may be repeated', sanOption)
    .option('--challenge <text>', 'challenge password')
    .option('--challenge-file <file>', 'file whose first line is the challenge password')
    .option('--key-bits <n>', 'RSA key size (default: 2048, or as the file says)', keyBitsOption)
    .addOption(
      new Option('--key-curve <name>', 'an EC key instead; a throwaway RSA key then carries the exchange, which not every server takes')
        .choices(['P-256', 'P-384'])
        .conflicts('keyBits'),
    )
    .addOption(
      new Option(
        '--platform <name>',
        'whose SCEP client to act like; windows appends /pkiclient.exe to the URL (default: ios, or whose form the file has)',
      ).choices(fleetPlatforms),
    )
    .option('--ca-fingerprint <sha256>', 'SHA-256 of one of the CA certificates that the server shows', fingerprintOption)
    .option('--root <file>', 'the root certificate that the CA leads to, PEM or DER')
    .option('--timeout <seconds>', 'gives up after so long, polls of a pending request included', wholeNumber(1, 604_800), 300)
    .requiredOption('--out <dir>', 'folder for the files; existing ones are never overwritten')
    .option('--json', 'print one JSON document on stdout')
    .addHelpText('after', examples)
  withFacts(command)
  withProxy(command)
  withKsp(command, 'keep the key there: software, tpm, passport or pkcs11:MODULE?token=LABEL (default: key.pem)')
  withLegacy(command, 'read a reply encrypted with single DES', 'accept SHA-1 from a server that offers nothing better').action(
    async (options: EnrollOptions) => end(await enroll(options, io)),
  )
}

async function enroll(options: EnrollOptions, io: Io): Promise<ExitCode> {
  const settings = await settingsOf(options, io)
  const { trust, platform, urls, keySpec: spec } = settings
  refuseFactsOfOthers(options.fact, [{ platform, osVersion: osOf(platform).version }])
  const tellOptions = { platform, urls, ...(options.fact && { fact: options.fact }), ...(options.json && { json: options.json }) }
  const ksp = await kspOf(options)
  const transport = await transportBy(options, io)
  const paths = await prepareFolder(options.out, ksp ? 'csr' : 'key')
  const interrupt = interruptSignal(io)
  let key: EnrollmentKey | undefined
  try {
    const secret = secretBy(options, io, interrupt.signal)
    key = await (ksp ? makeStoredKey({ ksp, spec, folder: options.out, secret, clock: io.clock }) : makeFileKey(spec))
    const outcome = await enrollOnce({
      ...settings,
      overrides: options.fact,
      legacyDes: options.legacyDes,
      legacySha1: options.legacySha1,
      transport,
      key: key.handle,
      timeoutMs: options.timeout * 1000,
      clock: io.clock,
      signal: interrupt.signal,
      onAnchor: (anchor) => warnOfWeakTrust(anchor, trust, io),
      onPending: (delayMs) => io.err(`the CA has not decided; asking again in ${Math.round(delayMs / 1000)} s\n`),
    })
    if ('failInfo' in outcome) return tellRejection(outcome, await key.discard(), tellOptions, io)
    await writeEnrolled(paths, { ...outcome, ...(key.pkcs8 && { key: key.pkcs8 }) })
    tellIssued(outcome, key.storage, paths, tellOptions, io)
    return 0
  } catch (error) {
    const ended = (await key?.discard()) ?? 'nothing was written'
    if (error instanceof AgentError) return tellFailure(error, ended, tellOptions, io)
    if (error !== interrupt.signal.reason) throw error
    tellProblem({ code: 'INTERRUPTED', message: `interrupted; ${ended}` }, options.json === true, io)
    return 130
  } finally {
    await key?.close()
    await transport.close()
    interrupt.release()
  }
}
