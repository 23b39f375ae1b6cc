import { AgentError } from '@certfleet/agent-core'

/**
 * Text of a JSON or YAML file: UTF-8, or UTF-16 told by its byte order mark or by the zero octets of its first character.
 * Marks are dropped. Fails with `ERR_PROFILE_INVALID` on bytes that are not text in that encoding, naming where they cease to be.
 */
export function decodeText(bytes: Uint8Array): string {
  const encoding = encodingOf(bytes)
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch (cause) {
    const place = Math.min(readableBytes(bytes, encoding) + 1, bytes.length)
    throw new AgentError('ERR_PROFILE_INVALID', `not ${encoding.toUpperCase()} text at byte ${place}; save it as UTF-8`, { cause })
  }
}

type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be'

/** By halves: the decoder does not say where it stopped. */
function readableBytes(bytes: Uint8Array, encoding: Encoding): number {
  let [good, bad] = [0, bytes.length]
  while (bad - good > 1) {
    const middle = (good + bad) >>> 1
    if (isText(bytes.subarray(0, middle), encoding)) good = middle
    else bad = middle
  }
  return isText(bytes.subarray(0, bad), encoding) ? bad : good
}

function isText(bytes: Uint8Array, encoding: Encoding): boolean {
  try {
    new TextDecoder(encoding, { fatal: true }).decode(bytes, { stream: true })
    return true
  } catch {
    return false
  }
}

function encodingOf([first, second]: Uint8Array): Encoding {
  if ((first === 0xff && second === 0xfe) || (first !== 0 && second === 0)) return 'utf-16le'
  if ((first === 0xfe && second === 0xff) || (first === 0 && second !== 0)) return 'utf-16be'
  return 'utf-8'
}
