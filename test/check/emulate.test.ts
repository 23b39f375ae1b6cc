import { systemClock } from '@certfleet/agent-core/system'
import t from 'tap'
import type { EmulateOptions } from '#emulator/check/emulate.ts'
import { keysOf, sharedPrimes } from '#emulator/check/emulate-keys.ts'
import { type CheckFinding, type CheckResult, type CheckScope, checkExport, emulate } from '#emulator/check/index.ts'
import type { IntendedPurpose, Tenant } from '#emulator/tenant/index.ts'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { testPrimes } from '../keys-emulation/prime-pairs.ts'
import { importedPfx, type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { inputOf } from './checked.ts'

const primes = sharedPrimes({ 2048: testPrimes() })
const options = (more: Partial<EmulateOptions> = {}): EmulateOptions => ({
  seed: 1,
  clock: systemClock,
  signal: new AbortController().signal,
  primes,
  ...more,
})

interface Setting {
  readonly documents?: readonly Json[]
  /** YAML. */
  readonly tenant?: string
  readonly importedPfx?: Readonly<Record<string, readonly IntendedPurpose[]>>
  readonly scope?: CheckScope
}

const everywhere = 'assign: all\n'
const jane = 'users: [{ id: jane, upn: "jane,1@contoso.example" }]\n'
const pc = (members = '') => `devices: [{ id: pc-1, platform: windows, osVersion: 10.0.26100, user: jane${members} }]\n`

/** What is checked, with these findings in place of those that the rules make. */
function resultOf(
  { documents = [trustedRoot(), scep()], tenant = everywhere + jane + pc(), importedPfx, scope }: Setting,
  findings: readonly CheckFinding[],
): CheckResult {
  const input = inputOf(documents, tenant)
  const known = importedPfx && { importedPfx: new Map(Object.entries(importedPfx).map(([user, all]) => [user, new Set(all)])) }
  return { ...checkExport({ ...input, tenant: { ...(input.tenant as Tenant), ...known } }, scope), findings }
}

const finding = (members: Partial<CheckFinding>): CheckFinding => ({
  id: 'delivery-failed',
  severity: 'error',
  device: 'pc-1',
  profileId: 'scep-1',
  message: 'so it is',
  ...members,
})

async function leaf(): Promise<string> {
  const der = await testCertificate({ subject: 'CN=Leaf', key: await testKey('leaf') })
  return Buffer.from(der).toString('base64')
}

async function intermediate(): Promise<string> {
  const [key, issuer] = [await testKey('leaf'), { subject: 'CN=Root', key: await testKey('root') }]
  return Buffer.from(await testCertificate({ subject: 'CN=Intermediate', key, issuer, ca: true })).toString('base64')
}

const rootForUsers = `assignments: [{ profile: root-1, allUsers: true }, { profile: scep-1, allDevices: true }]\n${jane}${pc()}`
const notDeployed = finding({ code: 'ERR_ROOT_NOT_DEPLOYED' })
const unresolved = finding({ code: 'ERR_VARIABLE_UNRESOLVED' })

t.test('a finding is held against what the device reports', async (t) => {
  const rows: readonly (Setting & {
    readonly name: string
    readonly findings?: readonly CheckFinding[]
    readonly marks?: readonly CheckFinding['emulation'][]
    /** `profile: predicted / emulated`. */
    readonly disagreements?: readonly RegExp[]
    readonly notEmulated?: number
  })[] = [
    { name: 'nothing is predicted, and all is installed' },
    { name: 'an error is predicted, and comes', tenant: rootForUsers, findings: [notDeployed], marks: ['confirmed'] },
    {
      name: 'an error comes that is not predicted',
      tenant: rootForUsers,
      disagreements: [/^scep-1: it is installed \/ it failed with ERR_ROOT_NOT_DEPLOYED: /],
    },
    {
      name: 'an error is predicted, and does not come',
      findings: [notDeployed],
      marks: ['refuted'],
      disagreements: [/^scep-1: it fails with ERR_ROOT_NOT_DEPLOYED \(delivery-failed\) \/ it was installed$/],
    },
    {
      name: 'another error comes',
      tenant: rootForUsers,
      findings: [unresolved],
      marks: ['refuted'],
      disagreements: [/^scep-1: .*ERR_VARIABLE_UNRESOLVED.* \/ it failed with ERR_ROOT_NOT_DEPLOYED/],
    },
    {
      name: 'two are predicted, and one keeps the other from showing',
      tenant: rootForUsers,
      findings: [unresolved, notDeployed],
      marks: [undefined, 'confirmed'],
      notEmulated: 1,
    },
    {
      name: 'what hangs on the URL of the tenant is not held against the lab',
      findings: [finding({ id: 'url-refused' as CheckFinding['id'], code: 'ERR_UNSUPPORTED' })],
      marks: [undefined],
      notEmulated: 1,
    },
    { name: 'nor is an error without a code', findings: [finding({})], marks: [undefined], notEmulated: 1 },
    {
      name: 'a warning says that it works',
      findings: [finding({ severity: 'warning', code: 'ERR_ROOT_NOT_DEPLOYED' })],
      marks: [undefined],
    },
    {
      name: 'the error of another device says nothing of this one',
      tenant: rootForUsers,
      findings: [finding({ device: 'pc-2', code: 'ERR_ROOT_NOT_DEPLOYED' })],
      marks: [undefined],
      disagreements: [/^scep-1/],
      notEmulated: 1,
    },
    {
      name: 'a root is held against its own store',
      documents: [trustedRoot({ '@odata.type': '#microsoft.graph.androidTrustedRootCertificate' })],
      tenant: `${everywhere}devices: [{ id: pc-1, platform: android, osVersion: 11, management: deviceAdministrator, userConsent: refused }]`,
      findings: [finding({ profileId: 'root-1', code: 'ERR_USER_ACTION_REQUIRED' })],
      marks: ['confirmed'],
    },
    {
      name: 'a certificate that no store takes as a root stays, for the device to refuse',
      documents: [trustedRoot({ trustedRootCertificate: await leaf() }), scep()],
      findings: [finding({ profileId: 'root-1', code: 'ERR_CERTIFICATE_REFUSED' }), finding({ code: 'ERR_ROOT_NOT_INSTALLED' })],
      marks: ['confirmed', 'confirmed'],
    },
    {
      name: 'unless it comes to another store, too, and is there',
      documents: [
        trustedRoot({ trustedRootCertificate: await intermediate(), destinationStore: 'computerCertStoreRoot' }),
        trustedRoot({ trustedRootCertificate: await intermediate(), id: 'root-2', displayName: 'Beside' }),
        scep(),
      ],
      findings: [finding({ profileId: 'root-1', code: 'ERR_CERTIFICATE_REFUSED' })],
      marks: [undefined],
      notEmulated: 1,
    },
    {
      name: 'a root that nothing needs is refused, though its certificate is in another store',
      documents: [
        trustedRoot({ trustedRootCertificate: await intermediate() }),
        trustedRoot({
          ...{ id: 'root-2', displayName: 'Beside', trustedRootCertificate: await intermediate() },
          destinationStore: 'computerCertStoreRoot',
        }),
        scep(),
      ],
      findings: [finding({ profileId: 'root-2', code: 'ERR_CERTIFICATE_REFUSED' })],
      marks: ['confirmed'],
    },
    {
      name: 'and so is one that is needed on other devices alone',
      documents: [
        trustedRoot({ trustedRootCertificate: await intermediate(), destinationStore: 'computerCertStoreRoot' }),
        trustedRoot({ trustedRootCertificate: await intermediate(), id: 'root-2', displayName: 'Beside' }),
        scep(),
      ],
      tenant: `assignments: [{ profile: root-1, allDevices: true }, { profile: root-2, allDevices: true }]\n${jane}${pc()}`,
      findings: [finding({ profileId: 'root-1', code: 'ERR_CERTIFICATE_REFUSED' })],
      marks: ['confirmed'],
    },
    {
      name: 'a TPM makes no keys of 4096 bits',
      documents: [trustedRoot(), scep({ keySize: 'size4096', keyStorageProvider: 'useTpmKspOtherwiseUseSoftwareKsp' })],
      findings: [finding({ code: 'ERR_UNSUPPORTED' })],
      marks: ['confirmed'],
    },
    {
      name: 'and where there is none, software does not count for it',
      documents: [trustedRoot(), scep({ keyStorageProvider: 'useTpmKspOtherwiseFail' })],
      tenant: everywhere + jane + pc(', hardware: no-tpm'),
      findings: [finding({ code: 'ERR_KEY_STORAGE_UNAVAILABLE' })],
      marks: ['confirmed'],
    },
    {
      name: 'keys go into a Passport whose user has proved every factor',
      tenant: `${everywhere}multiFactor: [scep-1]\n${jane}${pc()}`,
      documents: [trustedRoot(), scep({ keyStorageProvider: 'usePassportForWorkKspOtherwiseFail' })],
    },
    { name: 'a profile is not for the release', tenant: everywhere + jane + pc().replace('10.0.26100', '8.0') },
    {
      name: 'PFX are issued and imported, on Apple one certificate at a time',
      documents: [
        trustedRoot({ '@odata.type': '#microsoft.graph.macOSTrustedRootCertificate' }),
        pkcs({ '@odata.type': '#microsoft.graph.macOSPkcsCertificateProfile' }),
        importedPfx({ '@odata.type': '#microsoft.graph.macOSImportedPFXCertificateProfile' }),
      ],
      tenant: `${everywhere}${jane}devices: [{ id: pc-1, platform: macos, osVersion: 15.1, user: jane }]`,
    },
    {
      name: 'what the tenant says is imported is there',
      documents: [trustedRoot(), importedPfx()],
      importedPfx: { jane: ['smimeSigning'] },
    },
    {
      name: 'what it does not name is not',
      documents: [trustedRoot(), importedPfx()],
      importedPfx: { jane: ['vpn'] },
      findings: [finding({ profileId: 'pfx-1', code: 'ERR_PROFILE_INVALID' })],
      marks: ['confirmed'],
    },
  ]
  for (const { name, findings = [], marks = [], disagreements = [], notEmulated = 0, ...setting } of rows) {
    await t.test(name, async (t) => {
      const found = await emulate(resultOf(setting, findings), options())
      t.same(
        found.findings.map(({ emulation }) => emulation),
        marks,
      )
      const told = found.disagreements.map(({ profileId, predicted, emulated }) => `${profileId}: ${predicted} / ${emulated}`)
      t.equal(told.length, disagreements.length, told.join('\n'))
      for (const [i, expected] of disagreements.entries()) t.match(told[i], expected)
      t.equal(found.notEmulated, notEmulated)
    })
  }
})

t.test('only devices of the scope are emulated, and each is told of', async (t) => {
  const tenant = `${everywhere}devices: [{ id: pc-1, platform: windows, osVersion: 11 }, { id: mac-1, platform: macos, osVersion: 15 }, { id: pc-2, platform: windows, osVersion: 11 }]`
  const told: [number, number][] = []
  const result = resultOf({ tenant, scope: { platform: 'windows' } }, [])
  const { devices } = await emulate(result, options({ onDevice: (...progress) => told.push(progress) }))
  t.equal(devices, 2)
  t.same(told, [
    [1, 2],
    [2, 2],
  ])
})

t.test('too many devices are refused before any begins', async (t) => {
  const result = { ...resultOf({}, []), devices: Array.from({ length: 10_001 }, (_, i) => `pc-${i}`) }
  await t.rejects(emulate(result, options()), { code: 'ERR_LIMIT_EXCEEDED', message: /--platform or --device/ })
})

t.test('an interruption ends it with its reason', async (t) => {
  const abort = new AbortController()
  const why = new Error('interrupted')
  const emulating = emulate(resultOf({}, []), options({ signal: abort.signal }))
  abort.abort(why)
  await t.rejects(emulating, why)
})

t.test('no key is given out twice', async (t) => {
  const keyFor = keysOf(primes)
  const keys = await Promise.all(Array.from({ length: 40 }, () => keyFor(2048)))
  t.equal(new Set(keys.map((key) => key.export({ format: 'jwk' }).n)).size, 40)
})
