/** A password as octets, in the two notations that the schemes take. The one who made it wipes it. */
export interface PasswordOctets {
  /** PBES2 and PBMAC1 (RFC 8018 3, RFC 9579 4). */
  readonly utf8: Uint8Array
  /** BMPString with two zero octets behind it (RFC 7292 appendix B.1). */
  readonly bmp: Uint8Array
}

/**
 * The ways in which writers spell a password: one, but the empty password has two,
 * as the two zero octets of the terminator alone and as nothing at all.
 */
export function spellings(password: string): readonly PasswordOctets[] {
  const utf8 = Buffer.from(password, 'utf8')
  const spelling = { utf8, bmp: Buffer.from(`${password}\0`, 'utf16le').swap16() }
  return password === '' ? [spelling, { utf8, bmp: Buffer.alloc(0) }] : [spelling]
}

export function wipePasswords(passwords: readonly PasswordOctets[]): void {
  for (const { utf8, bmp } of passwords) {
    utf8.fill(0)
    bmp.fill(0)
  }
}
