import { AgentError, type KeyStorageOption, type PfxSpec } from '@certfleet/agent-core'
import type { KeyWish } from '../behaviour.ts'
import { type Fact, holds } from '../fact.ts'
import type { Os } from '../os.ts'
import { windowsFacts } from './facts.ts'

/** Where a key goes by option and OS version. What Windows cannot do there: `ERR_UNSUPPORTED`. */
export function windowsKeyStorage(wish: KeyWish, os: Os): KeyStorageOption {
  const option = effectiveOption(wish.option, os)
  switch (option) {
    case 'usePassportForWorkKspOtherwiseFail':
      refusePassport(wish, os)
      break
    case 'useTpmKspOtherwiseFail':
      refuseLargeTpmKey(wish.keyBits)
      break
  }
  return option
}

/** Where the key of a PFX goes. One that must not be exportable there: `ERR_UNSUPPORTED`. */
export function windowsPfxKeyStorage({ keyStorage, exportable }: Pick<PfxSpec, 'keyStorage' | 'exportable'>, os: Os): KeyStorageOption {
  const { pfxKeyLocation, pfxExportable } = windowsFacts
  const option = windowsKeyStorage({ option: keyStorage, keyBits: windowsFacts.passportKeyBits.value, hash: undefined }, os)
  const location = 1 + pfxKeyLocation.value.indexOf(option)
  if (exportable && location !== pfxExportable.value) {
    refuse(pfxExportable, `the profile wants an exportable key in KeyLocation ${location}, where none can be`)
  }
  return option
}

function effectiveOption(option: KeyStorageOption, os: Os): KeyStorageOption {
  const { phoneTpm } = windowsFacts
  return option === 'useTpmKspOtherwiseUseSoftwareKsp' && holds(phoneTpm, os) ? phoneTpm.value : option
}

function refusePassport({ option, keyBits, hash }: KeyWish, os: Os): void {
  const { passportRefused, passportKeyBits, passportHash } = windowsFacts
  if (option === passportRefused.value && holds(passportRefused, os)) {
    refuse(passportRefused, `Windows ${os.version} has no Passport for Work, which the profile demands`)
  }
  if (keyBits !== passportKeyBits.value) {
    refuse(passportKeyBits, `Passport for Work makes keys of ${passportKeyBits.value} bits, the profile asks for ${keyBits}`)
  }
  if (hash !== undefined && hash !== passportHash.value) {
    refuse(passportHash, `Passport for Work signs with ${passportHash.value}, the profile asks for ${hash}`)
  }
}

function refuseLargeTpmKey(keyBits: number): void {
  const { largestTpmKeyBits } = windowsFacts
  if (keyBits <= largestTpmKeyBits.value) return
  refuse(
    largestTpmKeyBits,
    `the TPM makes keys of up to ${largestTpmKeyBits.value} bits, the profile asks for ${keyBits}; use the software provider`,
  )
}

function refuse(fact: Fact, reason: string): never {
  throw new AgentError('ERR_UNSUPPORTED', `${reason} (${fact.id})`)
}
