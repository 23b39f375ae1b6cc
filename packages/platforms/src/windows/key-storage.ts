import type { KeyStorageOption, PfxSpec } from '@certfleet/agent-core'
import type { KeyWish } from '../behaviour.ts'
import { holds, says } from '../fact.ts'
import type { Os } from '../os.ts'
import { refuse } from '../refusals.ts'
import { windowsFacts } from './facts.ts'

/** Where a key goes by option and OS version. What Windows cannot do there: `ERR_UNSUPPORTED`. */
export function windowsKeyStorage(wish: KeyWish, os: Os): KeyStorageOption {
  const option = effectiveOption(wish.option, os)
  switch (option) {
    case 'usePassportForWorkKspOtherwiseFail':
      refusePassport(wish, os)
      break
    case 'useTpmKspOtherwiseFail':
      refuseLargeTpmKey(wish.keyBits, os)
      break
  }
  return option
}

/** Where the key of a PFX goes. One that must not be exportable there: `ERR_UNSUPPORTED`. */
export function windowsPfxKeyStorage({ keyStorage, exportable }: Pick<PfxSpec, 'keyStorage' | 'exportable'>, os: Os): KeyStorageOption {
  const { pfxKeyLocation, pfxExportable } = windowsFacts
  const option = windowsKeyStorage(
    { option: keyStorage, keyBits: says(windowsFacts.passportKeyBits, os), hash: undefined, extendedKeyUsages: [] },
    os,
  )
  const location = 1 + says(pfxKeyLocation, os).indexOf(option)
  if (exportable && location !== says(pfxExportable, os)) {
    refuse(pfxExportable, `the profile wants an exportable key in KeyLocation ${location}, where none can be`)
  }
  return option
}

function effectiveOption(option: KeyStorageOption, os: Os): KeyStorageOption {
  const { phoneTpm } = windowsFacts
  return option === 'useTpmKspOtherwiseUseSoftwareKsp' && holds(phoneTpm, os) ? says(phoneTpm, os) : option
}

function refusePassport({ option, keyBits, hash, extendedKeyUsages }: KeyWish, os: Os): void {
  const { passportRefused, passportKeyBits, passportHash, passportSmartCard } = windowsFacts
  if (option === says(passportRefused, os) && holds(passportRefused, os)) {
    refuse(passportRefused, `Windows ${os.version} has no Passport for Work, which the profile demands`)
  }
  const onlyBits = says(passportKeyBits, os)
  if (keyBits !== onlyBits) {
    refuse(passportKeyBits, `Passport for Work makes keys of ${onlyBits} bits, the profile asks for ${keyBits}`)
  }
  const onlyHash = says(passportHash, os)
  if (hash !== undefined && hash !== onlyHash) {
    refuse(passportHash, `Passport for Work signs with ${onlyHash}, the profile asks for ${hash}`)
  }
  if (extendedKeyUsages.includes(says(passportSmartCard, os))) {
    refuse(passportSmartCard, 'Passport for Work holds no keys for smart card logon, which the profile asks for')
  }
}

function refuseLargeTpmKey(keyBits: number, os: Os): void {
  const { largestTpmKeyBits } = windowsFacts
  const largest = says(largestTpmKeyBits, os)
  if (keyBits <= largest) return
  refuse(largestTpmKeyBits, `the TPM makes keys of up to ${largest} bits, the profile asks for ${keyBits}; use the software provider`)
}
