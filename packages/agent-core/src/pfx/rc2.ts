/** RFC 2268 section 2: a permutation of the octets that comes from the digits of pi. */
const piTable = Buffer.from(
  'd978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf0952122' +
    '5c6b4e8254d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb6266fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee7' +
    '06c3d52fc8661ed708e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ecc2e0416e0f51cbcc2491af50a1f47039997c3a85' +
    '23b8b47afc02365b255597312d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a90d38341bab33ffb0bb480c5fb9b1cd2e' +
    'c5f3db47e5a59c770aa62068fe7fc1ad',
  'hex',
)

const blockBytes = 8

/**
 * RC2-CBC decryption (RFC 2268), padding left on: the runtime's own OpenSSL has no RC2 since version 3.
 * For reading old PFX files and nothing else; certfleet never writes it. `encrypted` is a whole number of 8-octet blocks.
 */
export function decryptRc2Cbc(key: Uint8Array, effectiveBits: number, iv: Uint8Array, encrypted: Uint8Array): Buffer {
  const k = expandKey(key, effectiveBits)
  const source = Buffer.from(encrypted.buffer, encrypted.byteOffset, encrypted.length)
  const plain = Buffer.alloc(encrypted.length)
  let previous = iv
  for (let start = 0; start < source.length; start += blockBytes) {
    const r = [0, 2, 4, 6].map((octet) => source.readUInt16LE(start + octet)) as Words
    decryptBlock(r, k)
    for (let word = 0; word < 4; word++) plain.writeUInt16LE(r[word] as number, start + 2 * word)
    for (let octet = 0; octet < blockBytes; octet++) plain[start + octet] = (plain[start + octet] as number) ^ (previous[octet] as number)
    previous = source.subarray(start, start + blockBytes)
  }
  k.fill(0)
  return plain
}

type Words = [number, number, number, number]

/** RFC 2268 section 2. */
function expandKey(key: Uint8Array, effectiveBits: number): Uint16Array {
  const l = Buffer.alloc(128)
  l.set(key)
  const t8 = Math.ceil(effectiveBits / 8)
  for (let i = key.length; i < 128; i++) l[i] = pi((l[i - 1] as number) + (l[i - key.length] as number))
  l[128 - t8] = pi((l[128 - t8] as number) & (0xff >> (8 * t8 - effectiveBits)))
  for (let i = 127 - t8; i >= 0; i--) l[i] = pi((l[i + 1] as number) ^ (l[i + t8] as number))
  const words = Uint16Array.from({ length: 64 }, (_, i) => l.readUInt16LE(2 * i))
  l.fill(0)
  return words
}

const pi = (octet: number): number => piTable[octet & 0xff] as number

const rotations = [1, 2, 3, 5] as const

/** RFC 2268 section 4.3: mixing rounds backwards, with a mashing round behind the fifth and the eleventh. */
function decryptBlock(r: Words, k: Uint16Array): void {
  for (let round = 15; round >= 0; round--) {
    for (let i = 3; i >= 0; i--) unmix(r, i, k[4 * round + i] as number)
    if (round === 11 || round === 5) for (let i = 3; i >= 0; i--) r[i] = ((r[i] as number) - (k[at(r, i - 1) & 63] as number)) & 0xffff
  }
}

function unmix(r: Words, i: number, k: number): void {
  const shift = rotations[i] as number
  const turned = (((r[i] as number) >>> shift) | ((r[i] as number) << (16 - shift))) & 0xffff
  r[i] = (turned - k - (at(r, i - 1) & at(r, i - 2)) - (~at(r, i - 1) & at(r, i - 3))) & 0xffff
}

/** The words are a ring. */
const at = (r: Words, i: number): number => r[(i + 4) & 3] as number
