import { CKA, CKF, CKO, CKU_USER, type Cryptoki, type Handle } from '#agent-core/keys/pkcs11/cryptoki.ts'
import { token } from './token.ts'

/** The token without the provider: what anybody could do who has library and PIN. */
export interface Direct {
  readonly cryptoki: Cryptoki
  readonly session: Handle
  /** Objects of a class with this CKA_LABEL. */
  find(kind: number, label: string): Handle[]
  /** Reads one attribute, or tells the return value of the refusal. */
  read(object: Handle, type: number): Buffer | string
  close(): void
}

/** Unknown to the compiler: the package is not a dependency. */
const bindings: string = 'pkcs11js'

export async function openDirect(): Promise<Direct> {
  const { default: imported } = (await import(bindings)) as { default: { PKCS11: new () => Cryptoki } }
  const cryptoki = new imported.PKCS11()
  cryptoki.load(token.module)
  const isOurs = tolerating('CKR_CRYPTOKI_ALREADY_INITIALIZED', () => cryptoki.C_Initialize({ flags: CKF.OS_LOCKING_OK }))
  const slot = cryptoki.C_GetSlotList(true).find((each) => cryptoki.C_GetTokenInfo(each).label.trimEnd() === token.token)
  if (!slot) throw new Error(`no token ${token.token}`)
  const session = cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION)
  tolerating('CKR_USER_ALREADY_LOGGED_IN', () => cryptoki.C_Login(session, CKU_USER, token.pin))
  return {
    cryptoki,
    session,
    find(kind, label) {
      cryptoki.C_FindObjectsInit(session, [
        { type: CKA.CLASS, value: kind },
        { type: CKA.LABEL, value: label },
      ])
      const found = cryptoki.C_FindObjects(session, 100)
      cryptoki.C_FindObjectsFinal(session)
      return found
    },
    read(object, type) {
      try {
        return cryptoki.C_GetAttributeValue(session, object, [{ type }])[0]?.value ?? 'nothing'
      } catch (error) {
        return /CKR_\w+/.exec(String(error))?.[0] ?? String(error)
      }
    },
    close() {
      cryptoki.C_CloseSession(session)
      if (isOurs) cryptoki.C_Finalize()
    },
  }
}

export { CKO }

/** False where it was refused with that return value. */
function tolerating(returnValue: string, work: () => void): boolean {
  try {
    work()
    return true
  } catch (error) {
    if (!String(error).includes(returnValue)) throw error
    return false
  }
}
