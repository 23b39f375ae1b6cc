import { AgentError } from '../../errors.ts'
import { systemDisk } from '../../state/disk.ts'
import type { KeySpec } from '../../types.ts'
import { describeSpec } from '../choice.ts'
import { specOf } from '../key-handle.ts'
import { generatePrivateKey } from '../software.ts'
import { assertKeyLabel } from '../vault.ts'
import { type AttestationKey, assertNonce, attestationKeySpec, certifyKey, makeAttestationKey } from './attestation.ts'
import { readinessOf, tpmDevice, unlessAbsent } from './device.ts'
import { defaultSlots, latencyOf, makesKey, swtpmLatency, type TpmVersion, tpmKeySpecs, tpmPaddings, windowsLockout } from './facts.ts'
import { tpmKeys } from './keys.ts'
import { withFailure } from './lockout.ts'
import type { ModelledTpm, ModelledTpmOptions } from './options.ts'
import { folderStorage, memoryStorage } from './storage.ts'

const asOwner = { authorization: false } as const
const asUser = { authorization: true } as const

/**
 * A TPM as software: real keys behind a wall, with the limits, the pace and the moods of the hardware. It is a model: no call gives a
 * private key out, but what protects one is this process, and with `folder` the folder's mode. Who can read that has the keys.
 *
 * Making one costs next to nothing; the folder is opened by the first command and fails there as `fileVault` does.
 * RSA signs any digest, in 1.2 too: its scheme TPM_SS_RSASSAPKCS1v15_DER takes a DigestInfo ready-made, and a key of usage TPM_KEY_LEGACY
 * both signs and unwraps (TPM Main Part 2, 5.8).
 */
export function modelledTpm(options: ModelledTpmOptions): ModelledTpm {
  const { clock, version = '2.0', latency = swtpmLatency, lockout = windowsLockout, folder, disk = systemDisk } = options
  const { isPresent = true, isBusy = false, slots = defaultSlots, makeKey = generatePrivateKey } = options
  const name = `modelled TPM ${version}`
  const openStorage = async () => (folder === undefined ? memoryStorage() : folderStorage(folder, disk))
  const device = tpmDevice({ name, clock, lockout, conditions: { isPresent, isBusy, slots }, openStorage })
  const keys = tpmKeys({ name, device, latency, paddings: tpmPaddings[version], makeKey })
  const startedAt = clock.now()
  let attestationKey: AttestationKey | undefined

  /** Why such a key is never here. An absent TPM refuses nothing. */
  function refusalOf(spec: KeySpec, isExportable: boolean): string | undefined {
    if (!device.conditions().isPresent) return undefined
    if (isExportable) return `the ${name} gives no key out again`
    return makesKey(version, spec) ? undefined : unsupported(name, version, spec)
  }
  function assertTaken(spec: KeySpec, isExportable: boolean): void {
    const refusal = refusalOf(spec, isExportable)
    if (refusal !== undefined) throw new AgentError('ERR_UNSUPPORTED', refusal)
  }

  return {
    protection: 'tpm',
    name,
    async readiness({ spec, isExportable = false }) {
      const refusal = refusalOf(spec, isExportable)
      return refusal !== undefined ? { state: 'unsupported', message: refusal } : readinessOf(() => device.run(asUser, keys.assertRoom))
    },
    async generate(spec, label) {
      assertKeyLabel(label)
      assertTaken(spec, false)
      return device.run(asUser, (storage) => keys.generate(storage, spec, label))
    },
    async import(privateKey, label, { exportable }) {
      assertKeyLabel(label)
      assertTaken(specOf(privateKey), exportable)
      return device.run(asUser, (storage) => keys.import(storage, privateKey, label))
    },
    open: (label) =>
      unlessAbsent(
        device.run(asOwner, (storage) => keys.open(storage, label)),
        undefined,
      ),
    list: () =>
      unlessAbsent(
        device.run(asOwner, ({ vault }) => vault.list()),
        [],
      ),
    destroy: (label) =>
      unlessAbsent(
        device.run(asOwner, (storage) => keys.destroy(storage, label)),
        undefined,
      ),
    async attest(label, nonce) {
      const { manufacturer } = options
      if (version !== '2.0') throw new AgentError('ERR_UNSUPPORTED', `the ${name} makes no attestation that certfleet knows`)
      if (!manufacturer) throw new AgentError('ERR_UNSUPPORTED', `the ${name} has no manufacturer to vouch for it`)
      assertNonce(nonce)
      return device.run(asUser, async (storage) => {
        const key = await keys.requireOwn(storage, label)
        const signer = attestationKey ?? (await makeAttestationKey(manufacturer))
        attestationKey = signer
        const { signMs } = latencyOf(attestationKeySpec, latency)
        return device.take(signMs, () => certifyKey(key, signer, nonce, clock.now() - startedAt))
      })
    },
    set: (conditions) => device.set(conditions),
    failAuthorization: (times = 1) =>
      device.run(asOwner, async (storage) => {
        let failures = storage.failures()
        for (let i = 0; i < times; i++) failures = withFailure(failures, clock.now(), lockout)
        await storage.saveFailures(failures)
      }),
    clear: () =>
      device.clear(() => {
        keys.forget()
        attestationKey = undefined
      }),
  }
}

function unsupported(name: string, version: TpmVersion, spec: KeySpec): string {
  return `the ${name} makes no ${describeSpec(spec)} keys, only ${tpmKeySpecs[version].map(describeSpec).join(', ')}`
}
