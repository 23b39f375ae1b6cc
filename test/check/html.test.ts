import { createHash } from 'node:crypto'
import t from 'tap'
import { checkReportHtml } from '#emulator/check/html/index.ts'
import type { CheckFinding } from '#emulator/check/index.ts'
import { loadExport, loadTenant } from '#emulator/tenant/index.ts'
import { exampleExport, scep, trustedRoot } from '../tenant/graph.ts'
import { inputOf } from './checked.ts'
import { hostile, hostileReport, largeReport, reportOf, sampleReport } from './report-sample.ts'

const own = (html: string): string => html.replace(/<(style|script)>[\s\S]*?<\/\1>/g, '')
/** As it is read: without markup and unseen signs. */
const textOf = (html: string): string =>
  own(html)
    .replace(/<[^>]+>/g, ' ')
    .replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))
    .replace(/\s+/g, ' ')
const pageOf = (html: string, name: string): string =>
  html.split('<section class="profile"').find((page) => new RegExp(`<h2 [^>]*>${name}</h2>`).test(page)) ?? ''

t.test('the page holds all it needs, and its policy lets nothing else in', async (t) => {
  const html = checkReportHtml(sampleReport())
  const [style, script] = [/<style>([\s\S]*?)<\/style>/, /<script>([\s\S]*?)<\/script>/].map((pattern) => pattern.exec(html)?.[1])
  const hashOf = (text = '') => `&#39;sha256-${createHash('sha256').update(text).digest('base64')}&#39;`
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1] as string
  t.ok(policy.startsWith(`default-src &#39;none&#39;; style-src ${hashOf(style)}; script-src ${hashOf(script)}; `), policy)
  t.notMatch(policy, /unsafe|https?:|\*/)
  t.notMatch(own(html), /<(link|img|iframe|object|embed|base|form)\b|\ssrc=|\sstyle=|\son\w+=/i)
  t.notMatch(style, /@import|url\(/)
})

t.test('what people look for is there, in words', async (t) => {
  const text = textOf(checkReportHtml(sampleReport()))
  for (const said of [
    '35 of 96 devices will go without a certificate',
    '12 profiles of 12 files for 96 devices of tenant.yaml · 2026-11-23 00:00 UTC',
    '4 errors and 4 warnings (28 counted device by device), below with what will happen and what to do.',
    '2 questions cannot be answered in full',
    'Tried out: 96 emulated devices enrolled with these profiles, and 1 outcome differed.',
    'Devices 11: IOS-0001, IOS-0002, IOS-0003, IOS-0005, IOS-0006, IOS-0007 and 5 more IOS-0009, IOS-0010, IOS-0011, IOS-0013, IOS-0014',
    'What to do give these users an email address, or use {{UserPrincipalName}} instead',
    'The device shows NTE_DEVICE_NOT_READY (0x80090030)',
    '✓ confirmed on 2 devices ✕ refuted on 1 device',
    'expected one of size1024, size2048, size4096, found "size512"',
    'Does the CA that answers lead to the linked root? ✕ No the SCEP servers were not asked',
    'WINDOWS-0005 Wi-Fi machine certificate ERR_KEY_STORAGE_UNAVAILABLE installed, its key in software',
    'variables.unresolved A profile fails on a device that has no value for one of its variables',
  ])
    t.ok(text.includes(said), said)
})

t.test('a profile has a page of its own', async (t) => {
  const html = checkReportHtml(sampleReport())
  const text = textOf(pageOf(html, 'Wi-Fi iPhone'))
  for (const said of [
    'iOS · SCEP certificate',
    '11 go without, ✓ 7 as meant',
    'Assigned to all users',
    'Root Contoso Root CA (iOS)',
    'CN={{UserName}},E={{EmailAddress}}',
    'Lifetime asked for 1 year',
    'IOS-0001 user1@contoso.example 18.1 user ✕ Goes without A device or its user lacks what a variable stands for',
    'Names that devices send 24',
    'subject CN=user5, E="user5, contoso@contoso.example"',
  ])
    t.ok(text.includes(said), said)
  t.match(textOf(pageOf(html, 'Wi-Fi Android work profile')), 'Assigned to the group Pilot users (12 users, 0 devices)')
  t.match(textOf(pageOf(html, 'S/MIME signing')), /WINDOWS-0001 \S+ 6\.3\.9600 – Not for its OS version [A-Z].*\. /)
  t.match(
    textOf(pageOf(html, 'Contoso Root CA \\(Windows\\)')),
    /Certificate O=Contoso, CN=.* Kind root Valid until \d{4}-.* Root of Wi-Fi machine certificate , /,
  )
  t.match(textOf(pageOf(html, 'Mail on iPhone')), /Assigned to nobody .* Devices It reaches none\./)
  t.notMatch(textOf(html.slice(0, html.indexOf('class="profile"'))), 'subject CN=user5', 'names stand with their profiles alone')
})

t.test('what is wrong with a profile everywhere is wrong with it on each device that it reaches', async (t) => {
  const cellOf = (severity: CheckFinding['severity'], device?: string) => {
    const about: CheckFinding = {
      id: 'renews-never',
      severity,
      profile: 'Scep',
      profileId: 'scep-1',
      message: 'so',
      ...(device && { device }),
    }
    const tenant =
      'assign: all\ndevices:\n  - {id: a, platform: windows, osVersion: 10.0}\n  - {id: b, platform: windows, osVersion: 10.0}\n'
    const html = checkReportHtml(reportOf(inputOf([trustedRoot(), scep()], tenant), [about]))
    return textOf(/<tr data-platform="windows"[^>]*><th scope="row"><a[^>]*>Scep<.*/.exec(html)?.[0] as string).trim()
  }
  t.equal(cellOf('error'), 'Scep Windows ✕ 2 go without, ✕ 1 error')
  t.equal(cellOf('warning'), 'Scep Windows ! 2 with a warning, ! 1 warning')
  t.equal(cellOf('info'), 'Scep Windows ✓ 2 as meant, – nothing')
  t.equal(cellOf('error', 'b'), 'Scep Windows ✕ 1 go without, ✓ 1 as meant, – nothing')
  t.equal(cellOf('warning', 'b'), 'Scep Windows ! 1 with a warning, ✓ 1 as meant, – nothing')
})

t.test('the verdict', async (t) => {
  const tenant = 'assign: all\ndevices:\n  - {id: a, platform: windows, osVersion: 10.0}\n'
  const documents = [trustedRoot(), scep()]
  const verdict = (parts: ReturnType<typeof reportOf>) =>
    /<header class="banner (\w+)">[\s\S]*<h1>.*<span>(.*)<\/span><\/h1>/.exec(checkReportHtml(parts))?.slice(1).join(': ')
  const finding = (severity: CheckFinding['severity'], rest: Partial<CheckFinding> = {}): CheckFinding[] => [
    { id: 'renews-never', severity, message: 'so', profile: 'Scep', profileId: 'scep-1', ...rest },
  ]
  const rows: [string, ReturnType<typeof reportOf>, string | RegExp][] = [
    ['nothing found', reportOf(inputOf(documents, tenant)), 'passed: Every device gets its certificates'],
    ['only notes', reportOf(inputOf(documents, tenant), finding('info')), 'passed: Every device gets its certificates'],
    [
      'a warning',
      reportOf(inputOf(documents, tenant), finding('warning')),
      'interrupted: Every device gets its certificates, not all of them as meant',
    ],
    ['an error', reportOf(inputOf(documents, tenant), finding('error')), 'failed: 1 of 1 device will go without a certificate'],
    [
      'an error of a device alone',
      reportOf(inputOf(documents, tenant), [{ id: 'root-not-assigned', severity: 'error', message: 'so', device: 'a' }]),
      'failed: 1 of 1 device will go without a certificate',
    ],
    [
      'an error of nothing there',
      reportOf(inputOf(documents, tenant), [{ id: 'file-malformed', severity: 'error', message: 'so', file: 'x' }]),
      'failed: The export has errors',
    ],
    ['no tenant', reportOf(inputOf(documents)), 'passed: Nothing stands against the profiles themselves'],
    ['no tenant, an error', reportOf(inputOf(documents), finding('error')), 'failed: 1 of 2 profiles cannot work as written'],
    ['no profile', reportOf(inputOf([], tenant)), 'interrupted: There is no certificate profile to check'],
    [
      'a disagreement',
      { ...reportOf(inputOf(documents, tenant)), emulation: sampleReport().emulation },
      'interrupted: The check and the emulation disagree: rely on neither yet',
    ],
  ]
  for (const [name, parts, expected] of rows) t.equal(verdict(parts), expected, name)
})

t.test('a scope is told, and nothing else is counted', async (t) => {
  const text = textOf(checkReportHtml({ ...sampleReport(), scope: { device: 'ios-0001', platform: 'ios' } }))
  t.match(text, '1 of 1 device will go without a certificate')
  t.match(text, '3 profiles of 3 files for 1 device of tenant.yaml (only iOS, device ios-0001)')
})

t.test('without a tenant no device is counted, and what the export does not tell is not guessed', async (t) => {
  const of = (members = {}) => textOf(checkReportHtml(reportOf(inputOf([trustedRoot(members), scep()]))))
  const target = { '@odata.type': '#microsoft.graph.allDevicesAssignmentTarget' }
  t.match(of(), 'Profiles 2 on 1 platform With errors 0 profiles to put right With warnings')
  t.match(of(), 'Root Windows in the export')
  t.match(of(), 'Assigned to not told by the export')
  t.match(of({ assignments: [{ target }] }), 'Root Windows assigned')
  t.match(of({ assignments: [{ target }] }), 'Scep Windows not assigned')
  t.notMatch(of(), 'Devices by platform')
})

t.test('nothing of the export is taken for markup, turns a line around or fills the page', async (t) => {
  const html = checkReportHtml(hostileReport())
  t.notMatch(own(html), /<img|dataset\.hit=1<|<\/h2><\/script>|[\u202e\u2066\0]/)
  t.equal(html.match(/<script/g)?.length, 1)
  t.notMatch(html, 'A'.repeat(1000))
  t.match(textOf(html), hostile.slice(0, 80))
  t.ok(html.length < 150_000, `${html.length}`)
  t.equal(new Set(html.match(/ id="[^"]*"/g)).size, html.match(/ id="[^"]*"/g)?.length, 'ids are its own')
})

t.test('the example of the package', async (t) => {
  const [imported, tenant] = [await loadExport(exampleExport), await loadTenant(`${exampleExport}/tenant.yaml`)]
  const html = checkReportHtml(reportOf({ imported, tenant, now: 0 }))
  t.match(html, '1970-01-01 00:00 UTC')
  for (const { displayName } of imported.profiles) t.ok(pageOf(html, displayName), displayName)
})

t.test('2,000 profiles fit a file of 20 MB, whatever the number of devices and findings', async (t) => {
  const html = checkReportHtml(largeReport({ devices: 4000 }))
  t.ok(html.length < 20e6, `${(html.length / 1e6).toFixed(1)} MB`)
  t.equal(html.match(/<section class="profile"/g)?.length, 2000)
  t.match(textOf(html.slice(0, 200_000)), '4,000 of 4,000 devices will go without a certificate')
  t.match(html, /and 10 more devices; those with errors came first/)
})
