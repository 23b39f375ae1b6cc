import { facts } from '@certfleet/platforms'
import t from 'tap'
import { command } from './terminal.ts'

interface Row {
  readonly id: string
  readonly platforms: readonly string[]
  readonly since: string | null
}

const rowsOf = async (...options: string[]): Promise<readonly Row[]> =>
  JSON.parse((await command(['facts', '--json', ...options])).stdout).facts
const idsOf = async (...options: string[]) => (await rowsOf(...options)).map(({ id }) => id)

t.test('all of them, as one document', async (t) => {
  const rows = await rowsOf()
  t.equal(rows.length, facts.length)
  t.strictSame(
    rows.find(({ id }) => id === 'android.scep.order'),
    {
      id: 'android.scep.order',
      platforms: ['android'],
      since: null,
      until: null,
      effect: 'GetCACaps comes before GetCACert; the log shows GetCACaps a second time after it, which is left out here.',
      value: 'caps-first',
      alternatives: ['cert-first'],
      source: 'ID-NDES Android log; ID-DEL Android log',
      confidence: 'V',
      singleLog: true,
      overridable: true,
    },
  )
  const { alternatives, singleLog, overridable, since } = rows.find(({ id }) => id === 'key-size.ios-4096') as Row & Record<string, unknown>
  t.strictSame({ alternatives, singleLog, overridable, since }, { alternatives: null, singleLog: false, overridable: false, since: '14' })
})

t.test('of one platform, of one version, of the service', async (t) => {
  const ios = await idsOf('--platform', 'ios')
  t.ok(ios.includes('key-size.ios-4096') && ios.includes('apple.scep.signer') && ios.includes('scep.polling'))
  t.notOk(ios.some((id) => /^(android|windows|ndes|ca)\./.test(id)))
  t.notOk((await idsOf('--platform', 'ios', '--os', '13.7')).includes('key-size.ios-4096'))
  t.ok((await idsOf('--platform', 'windows')).includes('windows-phone.tpm.always'), 'without a version, the phone too')
  t.notOk((await idsOf('--platform', 'windows', '--os', '10')).includes('windows-phone.tpm.always'))
  t.ok((await idsOf('--platform', 'windows', '--os', 'Phone 8.1')).includes('windows-phone.tpm.always'))
  const service = await idsOf('--platform', 'service')
  t.ok(service.includes('ndes.probe') && service.includes('scep.message-types'))
  t.notOk(service.includes('scep.reply-signer'))
})

t.test('for people', async (t) => {
  const { exitCode, stdout, stderr } = await command(['facts', '--platform', 'android', '--os', '11'])
  t.equal(exitCode, 0)
  t.equal(stderr, '')
  t.match(
    stdout,
    [
      'android.pfx.legacy  (Android, below 12)',
      '  does      A PFX in PBES2 is refused as if the password were wrong, one in 3DES or RC2 is read: reported of Android 11, and taken to hold below.',
      '  value     legacy',
      '  source    PFX-AND Android 11 (I)',
      '  override  "off"',
      '',
    ].join('\n'),
  )
  t.match(stdout, /^ {2}source +ID-NDES Android log \(V 1\)$/m)
  t.match(stdout, /^ {2}override +a whole number from 0$/m)
  t.match(stdout, /\n\d+ facts\n$/)
  t.match((await command(['facts', '--platform', 'service'])).stdout, /^ndes\.bad-request .*\n.*\n {2}value +0x80070057$/m)
})
