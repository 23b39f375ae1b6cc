import {
  adviceByCode,
  chooseKeyStorage,
  type KeyProtection,
  type KeyReadiness,
  type KeyStorageChoice,
  type KeyStorageOption,
  protectionsByOption,
  type ReadinessByProtection,
} from '@certfleet/agent-core'
import { read, table, withParts } from './page-parts.ts'

/** What `chooseKeyStorage` decides, and the example that the tests run. */
export function keyStoragePage(): string {
  return withParts('docs/key-storage.md', {
    choice: choiceTable(),
    'device choice': deviceChoiceTable(),
    example: `\`\`\`ts\n${read('examples/own-key-storage.ts')}\`\`\``,
  })
}

const options = Object.keys(protectionsByOption) as KeyStorageOption[]
const ready: KeyReadiness = { state: 'ready' }
const not = (state: Exclude<KeyReadiness['state'], 'ready'>): KeyReadiness => ({ state, message: '' })

/** What a device can have, for people. Each has a software KSP that is ready unless its row says otherwise. */
const hardware: Readonly<Partial<Record<KeyProtection, readonly (readonly [string, KeyReadiness])[]>>> = {
  tpm: [
    ['a TPM that is ready', ready],
    ['no TPM', not('absent')],
    ['a TPM that does not make such a key', not('unsupported')],
    ['a busy TPM', not('busy')],
    ['a TPM locked out by wrong PINs', not('locked-out')],
    ['a full TPM', not('full')],
  ],
  passport: [
    ['Passport, PIN set', ready],
    ['no Passport', not('absent')],
    ['Passport, and another key than RSA-2048 for SHA-256', not('unsupported')],
    ['Passport, no PIN yet', not('not-provisioned')],
    ['Passport, PIN set, one factor proved where the profile wants more', not('multi-factor-missing')],
    ['Passport locked out by wrong PINs', not('locked-out')],
  ],
  software: [
    ['any TPM or none', ready],
    ['a key that the software KSP does not make', not('unsupported')],
  ],
}

function choiceTable(): string {
  const rows = options.flatMap((option) => {
    const [decisive] = protectionsByOption[option]
    return (hardware[decisive] ?? []).map(([device, readiness]) => {
      const answers: ReadinessByProtection = { software: ready, [decisive]: readiness }
      return [`\`${option}\``, device, ...toldOf(chooseKeyStorage({ option }, answers))]
    })
  })
  return table(['Profile', 'Device', 'Outcome', 'Reason', 'Code', 'Tried again'], rows)
}

function toldOf(choice: KeyStorageChoice): readonly string[] {
  const reason = `\`${choice.reason}\``
  if (choice.outcome === 'use') return [`key in ${wordFor[choice.protection]}`, reason, '', '']
  return [`no key: ${choice.outcome}s`, reason, `\`${choice.code}\``, againWord[adviceByCode[choice.code].retry]]
}

const againWord = {
  now: 'at the next pass',
  backoff: 'by itself, later and later',
  'on-new-policy': 'with another profile',
  'on-user': 'once the user has acted',
  'on-unlock': 'once unlocked',
  never: 'no',
} as const

const wordFor = { software: 'the software KSP', tpm: 'the TPM', passport: 'Passport', pkcs11: 'the token' } as const satisfies Record<
  KeyProtection,
  string
>

const keyStorages = Object.keys(wordFor) as KeyProtection[]

function deviceChoiceTable(): string {
  const everything: ReadinessByProtection = { software: ready, tpm: ready, passport: ready, pkcs11: ready }
  const rows = options.map((option) => {
    const cells = keyStorages.map((deviceChoice) => {
      const choice = chooseKeyStorage({ option, deviceChoice }, everything)
      return choice.outcome === 'use' ? `key in ${wordFor[choice.protection]}` : `\`${choice.code}\``
    })
    return [`\`${option}\``, ...cells]
  })
  return table(['Profile', ...keyStorages.map((choice) => `\`${choice}\``)], rows)
}
