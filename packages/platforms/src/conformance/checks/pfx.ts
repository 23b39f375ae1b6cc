import type { KeyStorageOption, ProfileStatus, RemovalEvent } from '@certfleet/agent-core'
import { type Check, holdsTrue, type SystemUnderTest, same } from '../check.ts'
import type { CheckContext, DeviceWishes } from '../context.ts'
import type { ConformanceDevice } from '../device.ts'
import { type PfxProfileDocument, pfxProfile, policyWith, rootProfile, statusOf } from '../documents.ts'

const usual = ['ios', 'macos', 'android', 'windows'] as const

interface Given extends DeviceWishes {
  readonly pfx?: Partial<PfxProfileDocument>
}

const policy = ({ session }: ConformanceDevice, pfx: Partial<PfxProfileDocument> = {}, revision = 1) =>
  policyWith({ revision, trustedRoots: [rootProfile(session)], pfxProfiles: [pfxProfile(pfx)] })

async function assigned(context: CheckContext, { pfx, ...wishes }: Given): Promise<ConformanceDevice> {
  const device = await context.device(wishes)
  await device.assign(policy(device, pfx))
  return device
}

async function withPfx(context: CheckContext, given: Given = {}): Promise<{ device: ConformanceDevice; status: ProfileStatus }> {
  const device = await assigned(context, given)
  const status = statusOf(await device.checkIn(), 'mail')
  holdsTrue(status.state === 'installed', `no PFX was installed: ${status.state} ${status.code ?? ''} ${status.message ?? ''}`.trim())
  return { device, status }
}

const installs = (row: Omit<Check, 'run' | 'expect' | 'needs'>, given: Given): Check => ({
  ...row,
  expect: 'key and certificate are installed',
  needs: ['pfxSource'],
  async run(context) {
    await withPfx(context, given)
  },
})

const fails = (row: Omit<Check, 'run' | 'needs'>, code: ProfileStatus['code'], given: Given): Check => ({
  ...row,
  needs: ['pfxSource'],
  async run(context) {
    const device = await assigned(context, given)
    same(statusOf(await device.checkIn(), 'mail').code, code, 'the profile fails with')
    same((await device.identities.list()).length, 0, 'identities on the device')
  },
})

const locations: readonly (readonly [KeyStorageOption, 'tpm' | 'software' | 'passport'])[] = [
  ['useTpmKspOtherwiseFail', 'tpm'],
  ['useTpmKspOtherwiseUseSoftwareKsp', 'tpm'],
  ['useSoftwareKsp', 'software'],
  ['usePassportForWorkKspOtherwiseFail', 'passport'],
]

const exportable = (on: SystemUnderTest, isExportable: boolean, fact: string): Check => ({
  id: 'pfx.exportable',
  on: [on],
  given: 'a profile whose key may be given out again',
  expect: isExportable ? 'the key may be given out' : 'the key may not be given out, and the setting is told as ignored',
  source: 'M-PKCS private key; A-DM com.apple.security.pkcs12 KeyIsExtractable; W-CCI PFXCertInstall PFXKeyExportable',
  facts: [fact],
  needs: ['pfxSource'],
  async run(context) {
    const { device, status } = await withPfx(context, { pfx: { exportable: true } })
    const [identity] = await device.identities.list()
    same(identity && 'exportable' in identity.requested && identity.requested.exportable, isExportable, 'the key is exportable')
    same(status.ignoredSettings?.includes('exportable') ?? false, !isExportable, 'the setting is ignored')
  },
})

interface Removal {
  readonly on: readonly (typeof usual)[number][]
  readonly events: readonly RemovalEvent[]
  readonly device: 'removed' | 'stays'
  /** Of `pkcs` and `imported`. */
  readonly facts: Readonly<Record<'pkcs' | 'imported', readonly string[]>>
}

const alike = (...names: readonly string[]): Removal['facts'] => ({
  pkcs: names.map((name) => name.replace('KIND', 'pkcs')),
  imported: names.map((name) => name.replace('KIND', 'imported')),
})

/** The tables of M-RM for PKCS certificates; that imported ones go alike is taken. */
const removals: readonly Removal[] = [
  {
    on: ['windows', 'ios', 'android'],
    events: ['unenrolled', 'wiped', 'retired'],
    device: 'removed',
    facts: alike('removal.KIND', 'windows.pfx.delete'),
  },
  { on: ['macos'], events: ['unenrolled', 'retired'], device: 'removed', facts: alike('macos.removal.KIND') },
  { on: ['macos'], events: ['wiped'], device: 'stays', facts: alike('macos.removal.wipe') },
  { on: ['windows', 'ios'], events: ['unassigned'], device: 'removed', facts: alike('removal.KIND-unassigned') },
  { on: ['macos', 'android'], events: ['unassigned'], device: 'stays', facts: alike('removal.KIND-unassigned-stays') },
  { on: usual, events: ['unlicensed'], device: 'stays', facts: alike('removal.unlicensed') },
]

const inWords: Readonly<Record<RemovalEvent, string>> = {
  unassigned: 'the profile is unassigned',
  retired: 'the device is retired',
  wiped: 'the device is wiped',
  unenrolled: 'its user unenrols the device',
  unlicensed: 'the licence is lost, or the user is deleted in the directory',
}

const removal = (kind: 'pkcs' | 'imported', event: RemovalEvent, { on, device: wanted, facts }: Removal): Check => ({
  id: `pfx.${kind}.${event}`,
  on,
  given: `a certificate of ${kind === 'pkcs' ? 'a PKCS' : 'an imported PFX'} profile, and ${inWords[event]}`,
  expect: wanted === 'removed' ? 'certificate and key are removed from the device' : 'certificate and key stay on the device',
  source: 'M-RM PKCS certificates',
  facts: facts[kind],
  needs: ['pfxSource'],
  async run(context) {
    const { device } = await withPfx(context, { pfx: { kind } })
    const trustedRoots = event === 'unassigned' ? [rootProfile(device.session)] : []
    await device.assign(policyWith({ revision: 2, trustedRoots, ...(event !== 'unassigned' && { lifecycle: event }) }))
    await device.checkIn()
    const left = [(await device.identities.list()).length, (await device.keys[0]?.list())?.length]
    same(left, wanted === 'removed' ? [0, 0] : [1, 1], 'certificates and keys left')
  },
})

const edited = (kind: 'pkcs' | 'imported', facts: readonly string[]): Check => ({
  id: `pfx.${kind}.edited`,
  on: usual,
  given: `${kind === 'pkcs' ? 'a PKCS' : 'an imported PFX'} profile whose certificate is another one`,
  expect: 'the new certificate takes the place of the old one, which is not revoked',
  source: 'M-RM PKCS certificates; W-CCI PFXCertInstall PFXCertBlob',
  facts,
  needs: ['pfxSource', 'revoked'],
  async run(context) {
    const { device, status } = await withPfx(context, { pfx: { kind } })
    await device.assign(policy(device, { kind, certificateRevision: 'v2' }, 2))
    const { serialNumber } = statusOf(await device.checkIn(), 'mail')
    holdsTrue(serialNumber !== status.serialNumber, 'the certificate was not replaced')
    same([(await device.identities.list()).length, (await device.keys[0]?.list())?.length], [1, 1], 'certificates and keys')
    same(device.session.revoked?.(), [], 'serial numbers that are revoked')
  },
})

/** Keys and certificates that come ready-made. */
export const pfxChecks: readonly Check[] = [
  installs({ id: 'pfx.installed', on: usual, given: 'a PKCS profile', source: 'SEED S4, S41; M-PKCS profile' }, {}),
  {
    id: 'pfx.root-not-assigned',
    on: usual,
    given: 'a PKCS profile whose Trusted profile is not assigned',
    expect: 'the profile fails, and nothing is installed',
    source: 'SEED S8, A11; SA-DEP assignment matrix',
    facts: ['trust.assignment-pfx'],
    needs: ['pfxSource'],
    async run(context) {
      const device = await context.device()
      await device.assign(policyWith({ pfxProfiles: [pfxProfile()] }))
      same(statusOf(await device.checkIn(), 'mail').code, 'ERR_ROOT_NOT_DEPLOYED', 'the profile fails with')
    },
  },
  installs(
    {
      id: 'pfx.several-certificates',
      on: ['android', 'windows'],
      given: 'a PFX with the issuer beside the certificate',
      source: 'W-CCI PFXCertInstall',
    },
    { setup: { pfx: { certificates: 2 } } },
  ),
  fails(
    {
      id: 'pfx.one-certificate',
      on: ['ios', 'macos'],
      given: 'a PFX with the issuer beside the certificate',
      expect: 'it is refused: the payload holds exactly one certificate',
      source: 'A-DM com.apple.security.pkcs12',
      facts: ['apple.pfx.certificates'],
    },
    'ERR_CERTIFICATE_REFUSED',
    { setup: { pfx: { certificates: 2 } } },
  ),
  fails(
    {
      id: 'pfx.modern-refused',
      on: ['android-11'],
      given: 'a PFX in PBES2',
      expect: 'it is refused; that OS says that the password is wrong',
      source: 'PFX-AND Android 11',
      facts: ['android.pfx.legacy'],
    },
    'ERR_ALGORITHM_REFUSED',
    {},
  ),
  installs(
    { id: 'pfx.legacy-read', on: ['android-11'], given: 'a PFX in 3DES', source: 'PFX-AND Android 11', facts: ['android.pfx.legacy'] },
    { setup: { pfx: { algorithms: 'legacy' } } },
  ),
  ...locations.map(
    ([keyStorage, protection]): Check => ({
      id: `pfx.key-location.${protection}${keyStorage.endsWith('UseSoftwareKsp') && protection === 'tpm' ? '-else-software' : ''}`,
      on: ['windows'],
      given: `a PKCS profile with ${keyStorage}, on a device that has all of them`,
      expect: `the key is imported into ${protection}`,
      source: 'W-CCI PFXCertInstall KeyLocation',
      needs: ['pfxSource'],
      async run(context) {
        const { status } = await withPfx(context, { pfx: { keyStorage }, keyStorage: ['software', 'tpm', 'passport'] })
        same(status.keyProtection, protection, 'the key is held by')
      },
    }),
  ),
  fails(
    {
      id: 'pfx.exportable.tpm',
      on: ['windows'],
      given: 'a key in the TPM that may be given out again',
      expect: 'the profile fails: that goes with the software provider alone',
      source: 'W-CCI PFXCertInstall PFXKeyExportable',
      facts: ['windows.pfx.exportable'],
    },
    'ERR_UNSUPPORTED',
    { pfx: { exportable: true, keyStorage: 'useTpmKspOtherwiseFail' }, keyStorage: ['software', 'tpm'] },
  ),
  installs(
    {
      id: 'pfx.exportable.software',
      on: ['windows'],
      given: 'a key in the software provider that may be given out again',
      source: 'W-CCI PFXCertInstall PFXKeyExportable, KeyLocation',
      facts: ['windows.pfx.key-location'],
    },
    { pfx: { exportable: true } },
  ),
  exportable('windows', true, 'exportable.honoured'),
  exportable('macos', true, 'exportable.macos'),
  exportable('ios', false, 'exportable.ios-not-offered'),
  exportable('android', false, 'exportable.android-ignored'),
  edited('pkcs', ['removal.pkcs-edited', 'windows.pfx.replace']),
  edited('imported', ['removal.imported-edited']),
  ...(['pkcs', 'imported'] as const).flatMap((kind) => removals.flatMap((row) => row.events.map((event) => removal(kind, event, row)))),
]
