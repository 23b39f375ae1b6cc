import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@certfleet/agent-core'
import { runCommandLine } from '@certfleet/emulator/commands'
import { type Delivery, readDeliveryFile, renderFor, type ScepDelivery } from '@certfleet/platforms'
import t from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { sample } from '../platforms/syncml.ts'
import { root as folder } from '../tooling/root.ts'
import { exampleProfiles } from './example.ts'
import { challenge, scepLab } from './scep-lab.ts'
import { command, terminal } from './terminal.ts'

const own = await scepLab(t)
const labRoot = own.lab.rootCertificate
const sha1 = (der: Uint8Array) => createHash('sha1').update(der).digest('hex')
/** A folder a file: nothing is in the way of another. */
const work = t.testdir()
let folders = 0
const newFolder = () => {
  const path = join(work, String(++folders))
  mkdirSync(path)
  return path
}
const tenant = join(exampleProfiles, '../tenant.yaml')

/** The example's profiles, with the lab's root and URL in them. */
function profilesOf(folder: string): string {
  const graph = join(folder, 'graph')
  mkdirSync(graph)
  for (const name of readdirSync(exampleProfiles)) {
    const document = JSON.parse(readFileSync(join(exampleProfiles, name), 'utf8'))
    if (document.trustedRootCertificate) document.trustedRootCertificate = Buffer.from(labRoot).toString('base64')
    if (document.scepServerUrls) document.scepServerUrls = [own.url]
    // The lab takes a SID for a challenge of its own alone.
    document.customSubjectAlternativeNames &&= document.customSubjectAlternativeNames.filter(
      ({ sanType }: { sanType: string }) => sanType !== 'universalResourceIdentifier',
    )
    writeFileSync(join(graph, name), JSON.stringify(document))
  }
  return graph
}

t.test('what is rendered for a device is enrolled from', async (t) => {
  const graph = profilesOf(newFolder())
  writeFileSync(join(work, 'challenge.txt'), `${challenge}\n`)
  for (const platform of ['ios', 'macos'] as const) {
    const file = join(work, `${platform}.mobileconfig`)
    const wish = ['render', graph, '--platform', platform, '--device', `${platform}-7`, '--out', file]
    const rendered = await command([...wish, '--challenge-file', join(work, 'challenge.txt')])
    t.match(rendered, { exitCode: 0, stdout: `${file}\n` }, rendered.stderr)
    t.match(rendered.stderr, /^"[^"\n]+": validity is lost: .* \(validity\.apple-template\)$/m)
    t.notMatch(rendered.stdout + rendered.stderr, challenge)
    t.equal(statSync(file).mode & 0o777, 0o600, 'it holds the challenge')
    const before = own.requests.length
    const out = join(work, platform)
    const options = platform === 'ios' ? [] : ['--platform', platform]
    const outcome = await command(['enroll', '--from', file, ...options, '--out', out, '--json'])
    t.match(outcome, { exitCode: 0, stderr: '' }, 'its root vouches for the CA')
    t.match(JSON.parse(outcome.stdout), { status: 'issued', subject: new RegExp(`^CN=${platform}-user-000001, .*O=Contoso$`) })
    t.match(
      openssl('x509', '-in', join(out, 'cert.pem'), '-noout', '-ext', 'subjectAltName'),
      `email:${platform}-user-000001@contoso.example`,
    )
    t.match(own.requests[before]?.headers['user-agent'], platform === 'ios' ? /^profiled/ : /^mdmclient/, 'as its own client')
    t.match(own.requests[before]?.url, platform === 'ios' ? /message=iOS%20Wi-Fi%20user/ : /message=macOS%20Wi-Fi%20user/)
  }
})

t.test('what is rendered as SyncML is enrolled from', async (t) => {
  const graph = profilesOf(newFolder())
  const rows = [
    ['windows', /^CN=windows-user-000001, .*O=Contoso$/, /^Mozilla.*NDES client/, /^\/certsrv\/mscep\/mscep\.dll\/pkiclient\.exe\?/],
    ['android', /^CN=android-user-000001@contoso\.example, OU=Android, O=Contoso$/, /^Dalvik/, /^\/certsrv\/mscep\/mscep\.dll\?/],
  ] as const
  for (const [platform, subject, agent, url] of rows) {
    const file = join(newFolder(), `${platform}.syncml.xml`)
    const wish = ['render', graph, '--platform', platform, '--device', `${platform}-7`, '--out', file]
    const rendered = await command([...wish, '--challenge-file', join(work, 'challenge.txt')])
    t.match(rendered, { exitCode: 0, stdout: `${file}\n` }, rendered.stderr)
    t.match(rendered.stderr, /displayName is lost: there is no .* for it \((windows\.csp|android\.syncml)\./)
    t.notMatch(rendered.stdout + rendered.stderr, challenge)
    t.equal(statSync(file).mode & 0o777, 0o600, 'it holds the challenge')
    const before = own.requests.length
    const out = join(file, '../out')
    const outcome = await command(['enroll', '--from', file, '--out', out, '--json'])
    t.match(outcome, { exitCode: 0, stderr: /^[^\n]+: passed over: validity of 1 years: SCEP has no place for it, the CA decides$/m })
    t.equal(/key storage useTpmKsp\w+: --ksp chooses one/.test(outcome.stderr), platform === 'windows')
    t.equal(/android itself would ask over https alone/.test(outcome.stderr), platform === 'android')
    t.notMatch(outcome.stderr, /first use|pinned by/, 'its root vouches for the CA')
    t.match(JSON.parse(outcome.stdout), { status: 'issued', subject })
    t.match(openssl('x509', '-in', join(out, 'cert.pem'), '-noout', '-ext', 'subjectAltName'), `user-000001@contoso.example`)
    t.match(own.requests[before]?.headers['user-agent'], agent, 'as its own client')
    t.match(own.requests[before]?.url, url)
  }
})

t.test('what is said in place of a fact holds for what is rendered, and for what is read', async (t) => {
  const graph = profilesOf(newFolder())
  const file = join(newFolder(), 'laptop.syncml.xml')
  const plain = ['--fact', 'windows.csp.challenge=plain']
  const wish = ['render', graph, '--platform', 'windows', '--device', 'windows-7', '--challenge', challenge, '--out', file]
  t.match(await command([...wish, ...plain]), { exitCode: 0 })
  const inFile = (text: string) => new RegExp(`/Install/Challenge</LocURI>.*?<Data>${text}</Data>`).test(readFileSync(file, 'utf8'))
  t.ok(inFile(challenge))
  t.notOk(inFile(Buffer.from(challenge).toString('base64')))
  const asked = ['enroll', '--from', file, '--out', join(file, '../out'), '--json']
  const outcome = await command([...asked, '--profile', oneOf(file), ...plain])
  t.match(outcome, { exitCode: 0 }, outcome.stderr)
  t.match(JSON.parse(outcome.stdout), { overriddenFacts: { 'windows.csp.challenge': 'plain' } })
  t.match(await command([...wish, '--fact', 'android.scep.message=a']), {
    exitCode: 2,
    stderr: /android\.scep\.message is not about windows/,
  })
})

/** The first request of several. */
const oneOf = (file: string) => readDeliveryFile(readFileSync(file)).delivery.scep[0]?.id ?? ''

t.test('a rendering is told', async (t) => {
  const wish = ['render', exampleProfiles, '--platform', 'ios', '--device', 'phone-1']
  await t.test('as one document', async (t) => {
    const { exitCode, stdout, stderr } = await command([...wish, '--json'], { CERTFLEET_CHALLENGE: challenge })
    t.equal(exitCode, 0)
    const { rendering, lost } = JSON.parse(stdout)
    t.match(rendering, { mediaType: 'application/x-apple-aspen-config', extension: '.mobileconfig', text: challenge })
    t.match(readDeliveryFile(Buffer.from(rendering.text)).delivery, {
      deviceId: 'phone-1',
      scep: [{ challenge, displayName: 'iOS Wi-Fi user' }],
    })
    t.equal(lost.length, stderr.trim().split('\n').length, 'a line each')
    t.notMatch(stderr, challenge)
  })
  await t.test('without a challenge', async (t) => {
    const file = join(newFolder(), 'open.mobileconfig')
    t.match(await command([...wish, '--out', file]), {
      exitCode: 0,
      stderr: /^rendered without a challenge; give one with --challenge-file$/m,
    })
    t.equal(statSync(file).mode & 0o777, 0o644)
    t.notMatch(readFileSync(file, 'utf8'), /<key>Challenge<\/key>/)
    t.match(await command([...wish, '--out', file]), { exitCode: 2, stderr: /open\.mobileconfig exists and is not overwritten/ })
    t.strictSame(readdirSync(join(file, '..')), ['open.mobileconfig'], 'no temporary file is left')
    t.equal((await command(wish)).stdout, readFileSync(file, 'utf8'), 'on stdout, the same again')
  })
  await t.test('for a device of a tenant', async (t) => {
    const jane = (platform: string, device: string) =>
      command(['render', exampleProfiles, '--platform', platform, '--device', device, '--tenant', tenant, '--json'])
    t.match(await jane('ios', 'ios-jane'), { exitCode: 0, stdout: /jane/ })
    t.match(await jane('macos', 'ios-jane'), { exitCode: 2, stderr: /--platform macos: device "ios-jane" is ios in / })
    t.match(await jane('ios', 'ios-nobody'), { exitCode: 2, stderr: /--device ios-nobody: .* names no such device/ })
  })
  await t.test('with what went wrong', async (t) => {
    const rows: [string, string[], number, RegExp][] = [
      [
        'nothing for it',
        ['render', join(exampleProfiles, 'windows-root.json'), '--platform', 'ios', '--device', 'a'],
        2,
        /has nothing for device "a"/,
      ],
      ['a file that cannot be written', [...wish, '--out', join(work, 'none', 'a')], 2, /cannot be written \(ENOENT\)/],
      ['no profiles', ['render', '/nowhere', '--platform', 'ios', '--device', 'a'], 2, /\/nowhere.*ENOENT/],
      [
        'a profile that cannot be delivered',
        ['render', join(exampleProfiles, 'ios-wifi-user.json'), '--platform', 'ios', '--device', 'a'],
        2,
        /"iOS Wi-Fi user": not delivered: /,
      ],
    ]
    for (const [name, argv, exitCode, stderr] of rows) t.match(await command(argv), { exitCode, stdout: '', stderr }, name)
  })
  await t.test('and the others where one cannot be delivered', async (t) => {
    const graph = newFolder()
    for (const name of ['ios-root.json', 'ios-wifi-user.json']) writeFileSync(join(graph, name), readFileSync(join(exampleProfiles, name)))
    const bad = JSON.parse(readFileSync(join(exampleProfiles, 'ios-wifi-user.json'), 'utf8'))
    Object.assign(bad, {
      id: 'c0a70500-0009-4000-8000-000000000002',
      displayName: 'iOS fqdn',
      subjectNameFormatString: 'CN={{FullyQualifiedDomainName}}',
    })
    writeFileSync(join(graph, 'bad.json'), JSON.stringify(bad))
    const outcome = await command(['render', graph, '--platform', 'ios', '--device', 'a'])
    t.match(outcome, { exitCode: 1, stdout: /iOS Wi-Fi user/, stderr: /^"iOS fqdn": not delivered: / })

    await t.test('because its OS is too old for the key', async (t) => {
      writeFileSync(join(graph, 'bad.json'), JSON.stringify({ ...bad, subjectNameFormatString: 'CN=a', keySize: 'size4096' }))
      const file = join(newFolder(), 'tenant.yaml')
      const devices = (osVersion: string) => `devices: [{ id: a, platform: ios, osVersion: "${osVersion}", user: u }]\n`
      const users = 'users: [{ id: u, upn: u@example.com, userName: u, email: u@example.com }]\nassign: all\n'
      const wish = ['render', graph, '--platform', 'ios', '--device', 'a', '--tenant', file]
      writeFileSync(file, devices('13.7') + users)
      t.match(await command(wish), {
        exitCode: 1,
        stdout: /2048/,
        stderr: /^"iOS fqdn": not delivered: ios 13\.7 makes keys of 1024, 2048 bits/,
      })
      writeFileSync(file, devices('14.0') + users)
      t.match(await command(wish), { exitCode: 0, stdout: /<integer>4096/ })
    })
  })
})

const request: ScepDelivery = {
  id: 'wifi',
  displayName: 'Wi-Fi',
  principal: 'device',
  urls: [own.url],
  challenge,
  subject: 'CN=from-file',
  subjectAltNames: [{ type: 'dns', value: 'from-file.example.com' }],
  keyBits: 2048,
}

/** A profile in a file of its own. */
function fileWith(scep: readonly ScepDelivery[], others: Partial<Delivery> = {}, platform: 'ios' | 'windows' | 'android' = 'ios'): string {
  const versions = { ios: '18', windows: '11', android: '15' }
  return fileOf(renderFor(platform, versions[platform], { deviceId: 'a', roots: [], scep, pfx: [], ...others }).text)
}
function fileOf(text: string): string {
  const file = join(newFolder(), 'given')
  writeFileSync(file, text)
  return file
}
const from = (file: string, ...options: string[]) => command(['enroll', '--from', file, '--out', join(file, '../out'), ...options])

t.test('the CA is trusted by the best that the file has', async (t) => {
  const roots = [{ id: 'root', displayName: 'Root', certificate: labRoot }]
  const foreign = { id: 'foreign', displayName: 'Foreign', certificate: foreignRoot() }
  const rows: [string, ScepDelivery, Delivery['roots'], number, RegExp][] = [
    ['its root by its thumbprint', { ...request, rootThumbprint: sha1(labRoot) }, [foreign, ...roots], 0, /^$/],
    ['its root by the link', { ...request, rootId: 'root' }, [foreign, ...roots], 0, /^$/],
    ['its only root', request, roots, 0, /^$/],
    ['two roots and no word', request, [foreign, ...roots], 0, /believed on first use/],
    [
      'a SHA-1 thumbprint',
      { ...request, rootThumbprint: sha1(labRoot) },
      [],
      0,
      /pinned by SHA-1 alone, which is weak; .*--ca-fingerprint:\n {2}[0-9a-f]{64}\n$/,
    ],
    ['its root by MD5', { ...request, rootThumbprint: createHash('md5').update(labRoot).digest('hex') }, [foreign, ...roots], 0, /^$/],
    ['an MD5 thumbprint', { ...request, rootThumbprint: createHash('md5').update(labRoot).digest('hex') }, [], 0, /pinned by MD5 alone/],
    ['another thumbprint', { ...request, rootThumbprint: 'ab'.repeat(20) }, roots, 1, /ERR_CA_UNTRUSTED/],
    ['another root', { ...request, rootId: 'foreign' }, [foreign, ...roots], 1, /ERR_CA_UNTRUSTED/],
  ]
  for (const [name, scep, given, exitCode, stderr] of rows) {
    t.match(await from(fileWith([scep], { roots: given })), { exitCode, stderr }, name)
  }
  const file = fileWith([{ ...request, rootThumbprint: 'ab'.repeat(20) }])
  t.match(await from(file, '--ca-fingerprint', own.lab.caFingerprint), { exitCode: 0, stderr: '' }, 'an option wins')
})

const syncMl: ScepDelivery = {
  ...request,
  keyUsages: ['digitalSignature', 'keyEncipherment'],
  extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
  rootThumbprint: sha1(labRoot),
}

t.test('SyncML is enrolled from as its OS would', async (t) => {
  const roots = [{ id: 'root', displayName: 'Root', certificate: labRoot }]
  const elsewhere = ['http://127.0.0.1:1/scep', own.url]
  const rows: [string, 'windows' | 'android', Partial<ScepDelivery>, Delivery['roots'], string[], number, RegExp][] = [
    ['no root but its thumbprint', 'windows', {}, [], [], 0, /pinned by SHA-1 alone/],
    ['several URLs, in order', 'windows', { urls: elsewhere }, roots, [], 0, /^$/],
    ['several URLs, shuffled', 'android', { urls: elsewhere }, roots, [], 0, /https alone/],
    [
      'no size of the key',
      'android',
      { keyBits: undefined } as object,
      roots,
      [],
      0,
      /names no key size, so that the key has 2048 bits as on android/,
    ],
    ['no subject', 'windows', { subject: '' }, roots, [], 2, /names no subject; give one with --subject/],
    ['no subject, but one that is typed', 'windows', { subject: '' }, roots, ['--subject', 'CN=typed'], 0, /^$/],
    ['SHA-1 alone', 'windows', { hashes: ['sha1'] }, roots, [], 0, /passed over: hash sha1: the strongest that the CA offers is used/],
    ['SHA-2 as well', 'windows', { hashes: ['sha1', 'sha256'] }, roots, [], 0, /^$/],
    [
      'a TPM',
      'windows',
      { keyStorage: 'useTpmKspOtherwiseFail' },
      roots,
      [],
      0,
      /passed over: key storage useTpmKspOtherwiseFail: --ksp chooses/,
    ],
    ['a TPM that is there', 'windows', { keyStorage: 'useTpmKspOtherwiseFail' }, roots, ['--ksp', 'tpm'], 0, /^$/],
    ['another challenge', 'windows', { challenge: 'no' }, roots, [], 1, /badRequest/],
  ]
  for (const [name, platform, scep, given, options, exitCode, stderr] of rows) {
    const { keyBits: bits, ...rest } = { ...syncMl, ...scep }
    const wish = bits === undefined ? rest : { ...rest, keyBits: bits }
    t.match(await from(fileWith([wish], { roots: given }, platform), ...options), { exitCode, stderr }, name)
  }
})

t.test('options win over the file', async (t) => {
  const file = fileWith([{ ...request, urls: ['http://127.0.0.1:1/scep'], challenge: 'not-that-one', keyBits: 1024 }])
  const options = [
    '--url',
    own.url,
    '--subject',
    'CN=typed',
    '--san',
    'dns:typed.example.com',
    '--challenge',
    challenge,
    '--key-bits',
    '2048',
  ]
  const outcome = await from(file, ...options, '--platform', 'macos', '--json')
  t.match(JSON.parse(outcome.stdout), { status: 'issued', subject: 'CN=typed' }, outcome.stderr)
  const text = openssl('x509', '-in', join(file, '../out/cert.pem'), '-noout', '-text')
  t.match(text, /DNS:typed\.example\.com/)
  t.match(text, /Public-Key: \(2048 bit\)/)
  t.notMatch(text, 'from-file')
})

t.test('a file says what is asked for', async (t) => {
  const rows: [string, Partial<ScepDelivery>, RegExp][] = [
    ['key usage 1', { keyUsages: ['digitalSignature'] }, /Key Usage: critical\s+Digital Signature\n/],
    ['key usage 5', { keyUsages: ['digitalSignature', 'keyEncipherment'] }, /Key Usage: critical\s+Digital Signature, Key Encipherment\n/],
  ]
  for (const [name, scep, expected] of rows) {
    const file = fileWith([{ ...request, ...scep }])
    t.match(await from(file), { exitCode: 0 }, name)
    t.match(openssl('x509', '-in', join(file, '../out/cert.pem'), '-noout', '-text'), expected, name)
  }
  await t.test('and leaves the size of the key to the OS', async (t) => {
    const { keyBits: _, ...scep } = request
    const file = fileWith([scep])
    t.match(
      await from(file),
      { exitCode: 1, stderr: /names no key size, so that the key has 1024 bits as on ios; --key-bits/ },
      'which the lab refuses',
    )
    t.match(await from(file, '--key-bits', '2048'), { exitCode: 0 })
  })
  await t.test('how often a pending request is asked for', async (t) => {
    own.decision = 'pending'
    t.teardown(() => {
      own.decision = 'issue'
    })
    const file = fileWith([{ ...request, retries: { count: 2, delayMs: 60_000 } }])
    const clock = new FakeClock(systemClock.now())
    const { io, seen, stderr } = terminal({ clock })
    const running = runCommandLine(['enroll', '--from', file, '--out', join(file, '../out')], io)
    await seen(/asking again in 0 s/)
    await clock.advance(0)
    await seen(/asking again in 60 s/)
    await clock.advance(60_000)
    t.equal(await running, 1)
    t.match(stderr(), /left the request pending through 2 polls/)
  })
})

t.test('what a file cannot be enrolled by is told before any connection', async (t) => {
  const before = own.requests.length
  const two = [request, { ...request, id: 'vpn' }]
  const bare = fileWith([{ ...request, subject: '' }])
  const rows: [string, string, string[], RegExp][] = [
    ['several requests', fileWith(two), [], /has several SCEP requests; choose with --profile one of "wifi", "vpn"/],
    ['no such request', fileWith(two), ['--profile', 'mail'], /--profile mail: .* has "wifi", "vpn"/],
    ['none at all', fileWith([]), [], /has no SCEP request/],
    ['another platform', fileWith([request]), ['--platform', 'android'], /--platform android: .* is in the form of ios and macos/],
    ["Windows's", fileWith([syncMl], {}, 'windows'), ['--platform', 'android'], /--platform android: .* is in the form of windows/],
    ["Android's", fileWith([syncMl], {}, 'android'), ['--platform', 'windows'], /--platform windows: .* is in the form of android/],
    ["Android's as Apple's", fileWith([syncMl], {}, 'android'), ['--platform', 'ios'], /--platform ios: .* is in the form of android/],
    ['no subject', bare, [], /names no subject; give one with --subject/],
    ['a URL with a query', fileWith([{ ...request, urls: [`${own.url}?a=b`] }]), [], /--from .*: URL: .*without a query/],
  ]
  for (const [name, file, options, stderr] of rows) t.match(await from(file, ...options), { exitCode: 2, stdout: '', stderr }, name)
  const bad = join(newFolder(), 'bad.mobileconfig')
  writeFileSync(bad, '<!DOCTYPE plist [<!ENTITY a "b">]><plist/>')
  writeFileSync(join(bad, '../text'), 'hello')
  t.match(await from(bad), { exitCode: 2, stderr: /--from .*bad\.mobileconfig: profile: .*DOCTYPE.*MCProfileErrorDomain 1000/ })
  t.match(await from(join(bad, '../text')), { exitCode: 2, stderr: /no known form/ })
  t.equal(own.requests.length, before)
})

t.test('a file that its OS refuses is refused before any connection', async (t) => {
  const before = own.requests.length
  const profile = readFileSync(fileWith([request]), 'utf8')
  const two = readFileSync(fileWith([request, { ...request, id: 'vpn' }]), 'utf8')
  const windows = readFileSync(fileWith([syncMl], {}, 'windows'), 'utf8')
  const android = readFileSync(fileWith([syncMl], {}, 'android'), 'utf8')
  const uuid = /PayloadUUID<\/key>\s*<string>([^<]+)/.exec(profile)?.[1] ?? ''
  const bomb = (name: string) =>
    `<!DOCTYPE ${name} [<!ENTITY e0 "e">${Array.from({ length: 20 }, (_, i) => `<!ENTITY e${i + 1} "${`&e${i};`.repeat(10)}">`).join('')}]>`
  const inFront = (text: string, piece: string) => text.replace(/<!DOCTYPE[^>]*>\s*/, '').replace(/(<plist|<SyncML)/, `${piece}$1`)
  const node = (name: string, value: string) => windows.replace(new RegExp(`(/Install/${name}</LocURI>.*?<Data>)[^<]*`), `$1${value}`)
  const exec = /<Exec>.*?<\/Exec>/.exec(windows)?.[0] ?? ''
  const protection =
    '<Add><CmdID>90</CmdID><Item><Target><LocURI>./Device/Vendor/MSFT/ClientCertificateInstall/SCEP/wifi/Install/KeyProtection'
  const rows: [string, string | Uint8Array, RegExp][] = [
    ['an entity bomb in a profile', inFront(profile, bomb('plist')), /DOCTYPE is not Apple's/],
    ['an entity bomb in SyncML', inFront(windows, bomb('SyncML')), /a document type declaration/],
    ['a DTD from elsewhere', inFront(profile, '<!DOCTYPE plist SYSTEM "http://127.0.0.1:1/a.dtd">'), /DOCTYPE is not Apple's/],
    ['one UUID twice', two.replaceAll(/(PayloadUUID<\/key>\s*<string>)[^<]+/g, `$1${uuid}`), /PayloadUUID.*MCProfileErrorDomain 1007/],
    [
      'an unknown type alone',
      profile.replace('com.apple.security.scep', 'com.apple.nothing'),
      /passed over: .*com\.apple\.nothing.*has no SCEP request/s,
    ],
    ['an Enroll that is not last', windows.replace(exec, '').replace('<Add>', `${exec}<Add>`), /windows\.csp\.enroll-last/],
    ['no key usage that is known', node('KeyUsage', '0'), /Install\/KeyUsage 0 has neither 128 nor 32/],
    ['a length that no key has', node('KeyLength', '3000'), /Install\/KeyLength 3000 is none of/],
    [
      "the same on Apple's",
      profile.replace('<integer>2048</integer>', '<integer>3000</integer>'),
      /Keysize has an unsupported value.*MCPayloadErrorDomain 2004/,
    ],
    [
      'Passport without a container',
      windows.replace(exec, `${protection}</LocURI></Target><Data>4</Data></Item></Add>${exec}`),
      /KeyProtection 4 without/,
    ],
    ['a thumbprint of MD5', node('CAThumbprint', 'ab'.repeat(16)), /CAThumbprint.*windows\.csp\.ca-thumbprint/],
    [
      'a thumbprint that is none, on Android',
      android.replace(/(CAThumbprint&amp;gt;)[^&]*/, '$1{GUID}'),
      /CAThumbprint.*android\.syncml\.ca-thumbprint/,
    ],
    ['1 MiB of a profile', profile.replace('</plist>', `${' '.repeat(1024 * 1024)}</plist>`), /more than 524288 characters/],
    ['1 MiB of SyncML', inFront(windows, ' '.repeat(1024 * 1024)), /over 524288 characters/],
    ['5 MiB', ' '.repeat(5 * 1024 * 1024), /a file of 5242880 bytes; at most 2097152 are read/],
    ['more than is read at all', Buffer.alloc(9 * 1024 * 1024, 0x20), /8 MiB|8388608/],
    ['UTF-16 on Apple', Buffer.from(`\ufeff${profile}`, 'utf16le'), /not in UTF-8/],
    ['UTF-16 on Windows', Buffer.from(`\ufeff${windows}`, 'utf16le'), /SyncML is read in UTF-8 alone/],
    ['nothing', '', /no known form/],
  ]
  for (const [name, content, stderr] of rows) {
    const file = join(newFolder(), 'bad')
    writeFileSync(file, content)
    const outcome = await from(file)
    t.match(outcome, { exitCode: 2, stdout: '', stderr }, name)
    t.notMatch(outcome.stderr, challenge, name)
  }
  t.equal(own.requests.length, before)
})

t.test('one of several requests is chosen, and what is passed over is told', async (t) => {
  const pfx = [{ id: 'mail', displayName: 'Mail', principal: 'device' as const, pfx: new Uint8Array([0x30]), password: 'canary-4711' }]
  const file = fileWith([request, { ...request, id: 'vpn', subject: 'CN=vpn' }], { pfx })
  const outcome = await from(file, '--profile', 'vpn', '--json')
  t.match(JSON.parse(outcome.stdout), { subject: 'CN=vpn' })
  t.match(outcome.stderr, /passed over: PFX "mail": /)
  t.notMatch(outcome.stderr, 'canary')
  const windows = await from(fileWith([syncMl], { pfx }, 'windows'))
  t.match(windows, { exitCode: 0, stderr: /passed over: PFX "mail": / })
  t.notMatch(windows.stderr, 'canary')
})

const samples = join(process.env.CERTFLEET_SAMPLES ?? join(folder, '../shared/samples'), 'mobileconfig')
const missing = existsSync(samples) ? false : 'no samples: set CERTFLEET_SAMPLES to a folder that holds mobileconfig/'

t.test('profiles of public projects enrol, when they name this server', { skip: missing }, async (t) => {
  const given = (name: string, url: string, secret = '') => {
    const file = join(newFolder(), `${name}.mobileconfig`)
    const text = readFileSync(join(samples, `${name}.mobileconfig`), 'utf8')
    writeFileSync(file, text.replace(url, own.url).replace('SCEP-CHALLENGE-HERE', secret))
    return file
  }
  const enroll = await from(given('enroll', 'https://mdm.example.org/scep', challenge), '--subject', 'CN=mdm')
  t.match(enroll, { exitCode: 0, stdout: /^issued CN=mdm/, stderr: /passed over: payload ".*": payloads of type "com\.apple\.mdm"/ })
  const file = given('sceptest', 'http://localhost:9001/scep')
  const options = ['--subject', 'CN=test', '--challenge', challenge]
  t.match(await from(file, ...options), { exitCode: 1, stderr: /ERR_CA_UNTRUSTED/ }, 'it brings the root of another CA')
  const fitting = [...options, '--ca-fingerprint', own.lab.caFingerprint, '--key-bits', '2048']
  t.match(await from(file, ...fitting), { exitCode: 0, stderr: /passed over: .*"KeyType"/ })
})

const enrollment = sample('scep-enroll.syncml.txt')
t.test('the published message for Windows enrols, when it names this server', { skip: enrollment.missing }, async (t) => {
  const text = enrollment.text
    .replaceAll('<InsertUniqueIDHere>', 'p1')
    .replace('12345087E648875D1DF5D9F9FF89DD10', sha1(labRoot))
    .replace('http://constoso.com/certsrv/mscep/mscep.dll', own.url)
    .replace('1234CB055B7EBF384A9486A22B7559A5', Buffer.from(challenge).toString('base64'))
  const bits = ['--key-bits', '2048']
  t.match(await from(fileOf(text), ...bits), { exitCode: 1, stderr: /badRequest/ }, 'its purposes are none of the lab')
  const outcome = await from(fileOf(text.replace(/<Data>[\d.+]+\+(1\.3\.6\.1\.5\.5\.7\.3\.2)/, '<Data>$1')), ...bits)
  t.match(outcome, { exitCode: 0, stdout: /^issued CN=ContosoCSP/, stderr: /pinned by SHA-1 alone/ })
  t.match(outcome.stderr, /passed over: hash sha1/)
})

const installation = sample('pfx-install.syncml.txt')
t.test('the published message with a PFX has nothing to enrol', { skip: installation.missing }, async (t) => {
  const text = installation.text.replace('<Data>2</Data>', '<Data>3</Data>').replace('Base64_Encode_Cert_Blob', 'AQI=')
  t.match(await from(fileOf(text)), {
    exitCode: 2,
    stderr: /passed over: PFXCertInstall\/813A.* its password is encrypted .*\n.*has no SCEP request/,
  })
})

const published = sample('android-scep.syncml.xml')
t.test('the published message for Android enrols, when it names this server', { skip: published.missing }, async (t) => {
  const text = published.text
    .replace('CAThumbprint&amp;gt;{GUID}', `CAThumbprint&amp;gt;${sha1(labRoot)}`)
    .replaceAll('https://breezeappproxy-contoso.msappproxy.net/certsrv/mscep/mscep.dll', own.url)
    .replace('PENlcnRFbn... Hash: 1,010,143,298', challenge)
    .replace('<Data>Data</Data>', `<Data>${Buffer.from(labRoot).toString('base64')}</Data>`)
  const file = fileOf(text)
  const outcome = await from(file)
  t.match(outcome, { exitCode: 0, stdout: /^issued CN=name/, stderr: /passed over: Get \.\/Vendor\/MSFT\/CertificateStore\/SCEP/ })
  t.notMatch(outcome.stderr, /pinned by|first use/)
  t.match(openssl('x509', '-in', join(file, '../out/cert.pem'), '-noout', '-text'), /Key Usage: critical\s+Key Encipherment\n/)
})

function foreignRoot(): Uint8Array {
  const document = JSON.parse(readFileSync(join(exampleProfiles, 'ios-root.json'), 'utf8'))
  return new Uint8Array(Buffer.from(document.trustedRootCertificate, 'base64'))
}

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
