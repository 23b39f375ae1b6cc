import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { run } from '../tooling/process.ts'
import { root } from '../tooling/root.ts'
import { command } from './terminal.ts'

t.test('every command has help with examples', async (t) => {
  const help = await command(['--help'])
  t.match(help, { exitCode: 0, stderr: '' })
  for (const name of ['run', 'worker', 'stop', 'resume', 'report', 'lab', 'enroll', 'render', 'keys', 'check', 'facts', 'conformance']) {
    t.match(help.stdout, new RegExp(`^ +${name} `, 'm'))
    const own = await command([name, '--help'])
    t.match(own, { exitCode: 0, stderr: '', stdout: /Examples:\n {2}\$ .*certfleet / }, name)
  }
})

t.test('--version tells the version of the package', async (t) => {
  const { version } = JSON.parse(readFileSync(join(root, 'packages/emulator/package.json'), 'utf8'))
  t.match(await command(['--version']), { exitCode: 0, stdout: `${version}\n`, stderr: '' })
})

t.test('bad usage ends with 2 and says what was expected', async (t) => {
  const enroll = ['enroll', '--url', 'http://127.0.0.1:1/scep', '--subject', 'CN=a', '--out', '/nowhere']
  const rows: [string, string[], RegExp][] = [
    ['no command', [], /Usage: certfleet/],
    ['an unknown command', ['fly'], /unknown command 'fly'/],
    ['an unknown option', ['run', '--fast'], /unknown option '--fast'/],
    ['no device', ['run', '--devices', '0'], /--devices.*whole number from 1 to 100000/],
    ['devices in words', ['run', '--devices', 'ten'], /--devices.*whole number from 1 to 100000/],
    ['a number in another notation', ['run', '--devices', '1e2'], /--devices.*whole number/],
    ['too much concurrency', ['run', '--concurrency', '1025'], /--concurrency.*whole number from 1 to 1024/],
    ['an empty seed', ['run', '--seed', ''], /--seed.*whole number or up to 64/],
    ['two scenarios', ['run', 'a.yaml', 'b.yaml'], /too many arguments/],
    ['no path to check', ['check'], /expected the path of an export/],
    ['no URL', ['enroll', '--subject', 'CN=a', '--out', 'x'], /no SCEP URL; give it with --url, or .* --from/],
    ['no subject', ['enroll', '--url', 'http://a/', '--out', 'x'], /no subject; give it with --subject, or .* --from/],
    ['a profile of no file', [...enroll, '--profile', 'wifi'], /--profile .*--from/],
    [
      'a file that is not there',
      [...enroll, '--from', '/nowhere.mobileconfig'],
      /--from \/nowhere\.mobileconfig: cannot be read \(ENOENT\)/,
    ],
    ['a rendering for no platform', ['render', 'x', '--device', 'a'], /required option '--platform/],
    ['a rendering for nobody', ['render', 'x', '--platform', 'ios'], /required option '--device/],
    ['a URL that is none', [...enroll, '--url', 'ndes'], /--url.*http or https URL/],
    ['a URL of another scheme', [...enroll, '--url', 'ldap://a/'], /--url.*http or https URL/],
    ['a URL with a query', [...enroll, '--url', 'http://a/?operation=x'], /--url.*without a query/],
    ['a subject that is none', [...enroll, '--subject', 'laptop'], /--subject.*no "key="/],
    ['an empty subject', [...enroll, '--subject', ' '], /--subject.*distinguished name/],
    ['a country that is no PrintableString', [...enroll, '--subject', 'C=ä'], /--subject.*PrintableString/],
    ['a SAN without a type', [...enroll, '--san', 'host.example.com'], /--san.*TYPE:VALUE/],
    ['a SAN of an unknown type', [...enroll, '--san', 'ip:10.0.0.1'], /--san.*one of email, upn, dns, uri/],
    ['a SAN without a value', [...enroll, '--san', 'dns:'], /--san.*TYPE:VALUE/],
    ['a SAN that is not ASCII', [...enroll, '--san', 'dns:é'], /--san/],
    ['a key too small', [...enroll, '--key-bits', '1023'], /--key-bits.*1024 to 8192/],
    ['a key too large', [...enroll, '--key-bits', '8200'], /--key-bits.*1024 to 8192/],
    ['a key size between steps', [...enroll, '--key-bits', '2049'], /--key-bits.*1024 to 8192/],
    ['an unknown platform', [...enroll, '--platform', 'beos'], /--platform.*ios, macos, android, windows/],
    ['a fingerprint of another length', [...enroll, '--ca-fingerprint', 'ab'.repeat(20)], /--ca-fingerprint.*64 hexadecimal/],
    ['a PIN as an option', [...enroll, '--ksp', 'software', '--pin', '4711'], /unknown option '--pin'/],
    ['a passphrase as an option', [...enroll, '--ksp', 'software', '--passphrase', '4711'], /unknown option '--passphrase'/],
    ['an unknown key storage', [...enroll, '--ksp', 'hsm'], /--ksp: an unknown key storage; expected software, tpm, passport or pkcs11/],
    ['a PIN for a key storage', [...enroll, '--ksp', '4711'], /--ksp: an unknown key storage/],
    ['a token without a name', [...enroll, '--ksp', 'pkcs11:/lib.so'], /--ksp: a PKCS#11 address of another form; expected pkcs11:MODULE/],
    [
      'a token with its PIN',
      [...enroll, '--ksp', 'pkcs11:/lib.so?token=a&pin-value=4711'],
      /--ksp: a PIN has no place in a PKCS#11 address/,
    ],
    ['a PIN that nothing asks for', [...enroll, '--pin-file', 'pin.txt'], /--pin-file is for a key storage; name one with --ksp/],
    ['a PIN for the TPM', [...enroll, '--ksp', 'tpm', '--pin-file', 'pin.txt'], /--pin-file: the modelled TPM asks for no PIN/],
    ['nothing to do with keys', ['keys'], /Usage: certfleet keys/],
    ['keys of nobody', ['keys', 'list'], /expected --state DIR, or --ksp/],
    ['keys of a folder by its kind', ['keys', 'list', '--ksp', 'tpm'], /--ksp: expected a token/],
    ['no key to destroy', ['keys', 'destroy', '--state', 'x'], /missing required argument 'label'/],
    ['a PIN as an option for a token', ['keys', 'list', '--ksp', 'pkcs11:/l?token=a', '--pin', '4711'], /unknown option '--pin'/],
    ['a fact without a value', ['run', '--fact', 'android.pending.polls'], /--fact.*Expected ID=VALUE/],
    ['a fact that is none', ['run', '--fact', 'a.b=1'], /--fact.*there is no fact "a\.b"; certfleet facts lists them/],
    ['a fact that stands', [...enroll, '--fact', 'apple.pending.polls=9'], /--fact.*was read in its source/],
    ['a fact twice', ['lab', '--fact', 'ndes.bad-request=1', '--fact', 'ndes.bad-request=2'], /--fact.*ndes\.bad-request is given twice/],
    [
      'a fact of another platform',
      [...enroll, '--fact', 'android.scep.message=x'],
      /android\.scep\.message is not about ios 18\.1, so that it has no/,
    ],
    ['a version of every platform', ['facts', '--os', '14'], /--os is the version of one platform; name it with --platform/],
    ['a version of the service', ['facts', '--platform', 'service', '--os', '14'], /--os: the service side has no OS version/],
    ['a version that is none', ['facts', '--platform', 'ios', '--os', 'seventeen'], /unknown ios version "seventeen"/],
    ['facts of an unknown platform', ['facts', '--platform', 'beos'], /--platform.*ios, macos, android, windows, service/],
    ['no time at all', [...enroll, '--timeout', '0'], /--timeout.*whole number from 1/],
  ]
  for (const [name, argv, message] of rows) {
    const outcome = await command(argv)
    t.match(outcome, { exitCode: 2, stdout: '', stderr: message }, name)
    t.notMatch(outcome.stderr, '4711', `${name}: a secret in the wrong place is not repeated`)
  }
})

t.test('with --json, bad usage and bad input are one document', async (t) => {
  for (const argv of [
    ['run', '--devices', '0', '--json'],
    ['run', 'no-such.yaml', '--json'],
  ]) {
    const { exitCode, stdout, stderr } = await command(argv)
    t.equal(exitCode, 2)
    t.match(JSON.parse(stdout), { error: { code: /^BAD_/, message: String } })
    t.not(stderr, '')
    t.notMatch(stderr, /^\s+at /m, 'no stack trace')
  }
})

t.test('the program ends with the exit code of its command', async (t) => {
  const program = join(root, 'packages/emulator/dist/cli.js')
  t.match(await run(process.execPath, [program, '--help']), { exitCode: 0, output: /Usage: certfleet/ })
  t.match(await run(process.execPath, [program, 'run', '--devices', '0']), { exitCode: 2, output: /whole number/ })
})
