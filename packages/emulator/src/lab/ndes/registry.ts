import { AgentError } from '@certfleet/agent-core'
import type { KeyUsageBit } from '@certfleet/agent-core/pki'
import { ndesFacts, says } from '@certfleet/platforms'
import { z } from 'zod'
import type { LabStore } from '../store.ts'
import type { NdesRegistry } from './records.ts'

export interface Registry {
  /** As it was set last. */
  configured(): NdesRegistry
  /** As NDES read it when it last started: what it goes by. */
  running(): NdesRegistry
  /** Sets the values that are given; NDES goes by them after `reload` (S55). A value that is out of range: `ERR_UNSUPPORTED`. */
  set(values: Partial<NdesRegistry>): Promise<void>
  reload(): void
}

const templateName = z.string().regex(/^[^\p{Cc}]{1,256}$/u)
const valuesSchema = z
  .strictObject({
    SignatureTemplate: templateName,
    EncryptionTemplate: templateName,
    GeneralPurposeTemplate: templateName,
    UseSinglePassword: z.literal([0, 1]),
    PasswordLength: z.int().min(8).max(64),
    PasswordMax: z.int().min(1).max(10_000),
    PasswordValidity: z.int().min(1).max(525_600),
  })
  .partial()

/** The registry that the store holds, and under it the defaults: every template is `defaultTemplate`. */
export function openRegistry(store: LabStore, defaultTemplate: string): Registry {
  const defaults: NdesRegistry = {
    SignatureTemplate: defaultTemplate,
    EncryptionTemplate: defaultTemplate,
    GeneralPurposeTemplate: defaultTemplate,
    UseSinglePassword: 0,
    PasswordMax: says(ndesFacts.passwordCache, {}),
    PasswordValidity: says(ndesFacts.passwordMinutes, {}),
  }
  const configured = () => ({ ...defaults, ...store.get('ndesRegistry', 'ndes') })
  let running = configured()
  return {
    configured,
    running: () => running,
    async set(values) {
      const { error } = valuesSchema.safeParse(values)
      if (error)
        throw new AgentError('ERR_UNSUPPORTED', `NDES has no such registry value: ${error.issues[0]?.path.join('.') || 'its name'}`)
      await store.transaction((tx) => tx.put('ndesRegistry', 'ndes', { ...tx.get('ndesRegistry', 'ndes'), ...values }))
    },
    reload() {
      running = configured()
    },
  }
}

/** The template for a request by its key usage (S36): to sign alone, to encrypt alone, or both; none counts as both. */
export function templateFor(keyUsages: readonly KeyUsageBit[], registry: NdesRegistry): string {
  const signs = keyUsages.includes('digitalSignature') || keyUsages.includes('nonRepudiation')
  const encrypts = keyUsages.includes('keyEncipherment')
  const { sign, encrypt, both } = says(ndesFacts.templates, {})
  return registry[signs === encrypts ? both : signs ? sign : encrypt]
}
