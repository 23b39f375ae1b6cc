import { mutateBytes } from './mutate-bytes.ts'
import type { Random } from './random.ts'

/** One to four changes to the tags and texts of a document in XML. */
export function mutateMarkup(bytes: Uint8Array, random: Random): Uint8Array {
  const pieces = Buffer.from(bytes)
    .toString()
    .split(/(<[^>]*>|&lt;[^&]*&gt;)/)
    .filter((piece) => piece !== '')
  for (let left = random.skewed(4); left > 0; left--) {
    const at = random.below(pieces.length)
    pieces.splice(at, 1, random.pick(changes)(pieces[at] as string, pieces, random))
  }
  return Buffer.from(pieces.join(''))
}

const odd = [
  ...['', ' ', '0', '-1', '1e9', '99999999999999999999', '\u0000', '\ufffd', 'CN=', 'true', '{}', '__proto__', '%', ';', '+'],
  ...['<!DOCTYPE plist [<!ENTITY a "b">]>', '&a;', '<?a?>', '<![CDATA[a]]>', '<!--a-->', '<dict>', '<Atomic>', '&lt;a/&gt;', '&amp;lt;'],
] as const

type Change = (piece: string, pieces: readonly string[], random: Random) => string

const changes: readonly Change[] = [
  () => '',
  (_, pieces, random) => random.pick(pieces),
  (piece, pieces, random) => piece + random.pick(pieces),
  (piece, _, random) => piece.repeat(random.skewed(40)),
  (piece, _, random) => (piece.startsWith('<') ? piece : random.pick(odd)),
  (piece, _, random) => piece + random.pick(odd),
  (piece, _, random) => Buffer.from(mutateBytes(Buffer.from(piece), random)).toString(),
  (piece, pieces, random) => piece + pieces.slice(random.below(pieces.length)).slice(0, random.skewed(40)).join(''),
]
