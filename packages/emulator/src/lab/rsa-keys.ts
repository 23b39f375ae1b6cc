import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

/** Makes an RSA key of the lab's own: of a CA or its RA, for passwords of imported files, or with `deviceId` for a PFX of that device. */
export type MakeRsaKey = (bits: number, deviceId?: string) => Promise<KeyObject>

const generatePair = promisify(generateKeyPair)

/** A new one, on the thread pool. */
export const freshRsaKey: MakeRsaKey = async (modulusLength) => (await generatePair('rsa', { modulusLength })).privateKey
