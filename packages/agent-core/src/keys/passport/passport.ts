import type { KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { AgentError } from '../../errors.ts'
import type { KeyHandle } from '../../ports.ts'
import { systemDisk } from '../../state/disk.ts'
import { publicKeyOf, specOf } from '../key-handle.ts'
import { generatePrivateKey } from '../software.ts'
import { assertKeyLabel, keyExists } from '../vault.ts'
import { container } from './container.ts'
import { type GestureGate, gestureGate } from './gesture.ts'
import { containerHandles } from './handles.ts'
import { folderKeys, memoryKeys } from './keys.ts'
import type { ModelledPassport, PassportOptions } from './options.ts'
import { type Owner, quickPin, slowPin } from './pin.ts'
import { passportSpec, readinessOf, refusalOf } from './readiness.ts'
import { type ContainerRecord, diskRecord, memoryRecord } from './record.ts'

export type { GestureAnswer, GesturePrompt, ModelledPassport, PassportOptions, PinProvisioning } from './options.ts'

/** A container by the terms of `ModelledPassport`. Nothing is read, made or hashed before it is needed. */
export function modelledPassport(options: PassportOptions): ModelledPassport {
  const { clock, user, folder, disk = systemDisk, isEnabled = () => true, waitsForCertificate = false } = options
  const owner: Owner = { user, containerName: options.containerName ?? '' }
  const keys = folder === undefined ? memoryKeys() : folderKeys(folder, disk)
  const held = container({
    file: folder === undefined ? memoryRecord(owner) : diskRecord(owner, join(folder, 'container.json'), disk),
    clock,
    waitsForCertificate,
    secretOf: folder === undefined ? quickPin : slowPin,
    onSecret: (secret) => gate.learn(secret),
    onLockedOut: () => gate.close(),
  })
  const gate: GestureGate = gestureGate(held, keys.vault, options)
  const handles = containerHandles(keys, gate, assertEnabled)
  const making = new Set<string>()

  function assertEnabled(): void {
    if (!isEnabled()) throw new AgentError('ERR_KEY_STORAGE_UNAVAILABLE', disabled(user))
  }
  const waits = ({ hasPayload }: ContainerRecord): boolean => waitsForCertificate && !hasPayload

  /** The record, after the user has chosen the PIN that is known in advance, where one may be set. */
  async function settled(record: ContainerRecord): Promise<ContainerRecord> {
    if (record.secret || options.pin === undefined || waits(record)) return record
    await held.provision(options.pin)
    return held.read()
  }

  async function make(label: string, keyOf: () => Promise<KeyObject>): Promise<KeyHandle> {
    if ((await keys.publicKey(label)) !== undefined) throw keyExists(label)
    await settled(await held.read())
    const vault = await gate.open('create-key')
    const privateKey = await keyOf()
    await held.inTurn(async () => {
      if (!gate.isCurrent(vault)) throw new AgentError('ERR_KEY_UNAVAILABLE', `the Passport container was reset while "${label}" was made`)
      await vault.store(label, privateKey)
    })
    return handles.of(label, publicKeyOf(privateKey))
  }

  async function add(label: string, wish: Parameters<typeof refusalOf>[0], keyOf: () => Promise<KeyObject>): Promise<KeyHandle> {
    assertEnabled()
    assertKeyLabel(label)
    const refusal = refusalOf(wish, owner)
    if (refusal !== undefined) throw new AgentError('ERR_UNSUPPORTED', refusal)
    if (making.has(label)) throw keyExists(label)
    making.add(label)
    return make(label, keyOf).finally(() => making.delete(label))
  }

  async function setPin(pin: string): Promise<void> {
    assertEnabled()
    if (!(await held.provision(pin))) throw new AgentError('ERR_UNSUPPORTED', `${user} has a Windows Hello PIN already`)
  }

  async function resetPin(pin: string, currentPin?: string): Promise<void> {
    assertEnabled()
    const { secret } = await held.read()
    if (!secret) return setPin(pin)
    if (currentPin !== undefined) return held.change(pin, currentPin)
    return held.reset(pin, forgetAll)
  }

  async function forgetAll(): Promise<void> {
    gate.unlearn()
    handles.forget()
    await keys.clear()
  }

  return {
    protection: 'passport',
    name: `modelled Passport of ${user}`,
    async readiness(wish) {
      if (!isEnabled()) return { state: 'absent', message: disabled(user) }
      const refusal = refusalOf(wish, owner)
      if (refusal !== undefined) return { state: 'unsupported', message: refusal }
      // That the agent asks means that the profile has reached the device: it is the payload.
      const record = await settled(await (waitsForCertificate ? held.note({ hasPayload: true }) : held.read()))
      const readiness = readinessOf(record, wish, clock.now())
      if (readiness.state === 'not-provisioned') options.onPinWanted?.()
      return readiness
    },
    generate: async (spec, label) => add(label, { spec }, () => generatePrivateKey(passportSpec)),
    import: async (privateKey, label, { exportable }) =>
      add(label, { spec: specOf(privateKey), isExportable: exportable }, async () => privateKey),
    async open(label) {
      const publicKey = isEnabled() ? await keys.publicKey(label) : undefined
      return publicKey && handles.of(label, publicKey)
    },
    list: async () => (isEnabled() ? keys.list() : []),
    async destroy(label) {
      if (!isEnabled()) return
      await keys.remove(label)
      handles.forget(label)
    },
    async provisioning() {
      const record = await held.read()
      if (record.secret) return 'done'
      return waits(record) ? 'waiting-for-certificate' : 'none'
    },
    setPin,
    resetPin,
    async proveMultiFactor() {
      await held.note({ hasMultiFactor: true })
    },
    lock: () => gate.close(),
  }
}

const disabled = (user: string): string => `Passport for Work is disabled for ${user}`
