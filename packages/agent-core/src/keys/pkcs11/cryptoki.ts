/** What stands for a slot, session or object; only the library can read it. */
export type Handle = Buffer

export interface Attribute {
  readonly type: number
  readonly value: boolean | number | string | Buffer
}

export interface Mechanism {
  readonly mechanism: number
  readonly parameter: null | { readonly type: number; readonly hashAlg: number; readonly mgf: number; readonly source: number }
}

export interface TokenInfo {
  readonly label: string
  readonly manufacturerID: string
  readonly flags: number
}

/** The part of PKCS#11 v2.40, in the shape that the package `pkcs11js` 2 gives it, that the keys here need. All of it blocks. */
export interface Cryptoki {
  load(path: string): void
  C_Initialize(options: { flags: number }): void
  C_Finalize(): void
  C_GetSlotList(tokenPresent: boolean): Handle[]
  C_GetTokenInfo(slot: Handle): TokenInfo
  C_GetMechanismList(slot: Handle): number[]
  C_GetMechanismInfo(slot: Handle, mechanism: number): { readonly minKeySize: number; readonly maxKeySize: number; readonly flags: number }
  C_OpenSession(slot: Handle, flags: number): Handle
  C_CloseSession(session: Handle): void
  C_GetSessionInfo(session: Handle): { readonly state: number }
  C_Login(session: Handle, userType: number, pin: string): void
  C_GenerateKeyPair(
    session: Handle,
    mechanism: Mechanism,
    publicTemplate: Attribute[],
    privateTemplate: Attribute[],
  ): { readonly publicKey: Handle; readonly privateKey: Handle }
  C_FindObjectsInit(session: Handle, template: Attribute[]): void
  C_FindObjects(session: Handle, maxObjects: number): Handle[]
  C_FindObjectsFinal(session: Handle): void
  C_GetAttributeValue(session: Handle, object: Handle, template: { readonly type: number }[]): { readonly value: Buffer }[]
  C_DestroyObject(session: Handle, object: Handle): void
  C_SignInit(session: Handle, mechanism: Mechanism, key: Handle): void
  C_Sign(session: Handle, data: Buffer, room: Buffer): Buffer
  C_SignFinal(session: Handle, room: Buffer): Buffer
  C_DecryptInit(session: Handle, mechanism: Mechanism, key: Handle): void
  C_Decrypt(session: Handle, data: Buffer, room: Buffer): Buffer
  C_DecryptFinal(session: Handle, room: Buffer): Buffer
}

// The numbers of PKCS#11 v2.40 (pkcs11t.h), by their names there without the prefix.
export const CKF = {
  RW_SESSION: 0x2,
  SERIAL_SESSION: 0x4,
  OS_LOCKING_OK: 0x2,
  DECRYPT: 0x200,
  USER_PIN_FINAL_TRY: 0x20000,
  USER_PIN_LOCKED: 0x40000,
} as const
export const CKU_USER = 1
export const CKS_RW_USER_FUNCTIONS = 3
export const CKO = { PUBLIC_KEY: 2, PRIVATE_KEY: 3 } as const
export const CKK = { RSA: 0, EC: 3 } as const
export const CKA = {
  CLASS: 0x0,
  TOKEN: 0x1,
  PRIVATE: 0x2,
  LABEL: 0x3,
  KEY_TYPE: 0x100,
  ID: 0x102,
  SENSITIVE: 0x103,
  ENCRYPT: 0x104,
  DECRYPT: 0x105,
  SIGN: 0x108,
  VERIFY: 0x10a,
  MODULUS: 0x120,
  MODULUS_BITS: 0x121,
  PUBLIC_EXPONENT: 0x122,
  EXTRACTABLE: 0x162,
  LOCAL: 0x163,
  NEVER_EXTRACTABLE: 0x164,
  ALWAYS_SENSITIVE: 0x165,
  EC_PARAMS: 0x180,
  EC_POINT: 0x181,
} as const
export const CKM = {
  RSA_PKCS_KEY_PAIR_GEN: 0x0,
  RSA_PKCS: 0x1,
  RSA_X_509: 0x3,
  RSA_PKCS_OAEP: 0x9,
  SHA_1: 0x220,
  SHA256: 0x250,
  EC_KEY_PAIR_GEN: 0x1040,
  ECDSA: 0x1041,
} as const
export const CKG_MGF1 = { SHA1: 1, SHA256: 2 } as const
export const CKZ_DATA_SPECIFIED = 1
/** What pkcs11js itself calls parameters of OAEP. */
export const OAEP_PARAMETERS = 4
