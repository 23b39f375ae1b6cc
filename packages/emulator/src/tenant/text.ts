import { AgentError } from '@certfleet/agent-core'

/**
 * Text of a JSON or YAML file: UTF-8, or UTF-16 told by its byte order mark or by the zero octets of its first character.
 * Marks are dropped. Fails with `ERR_PROFILE_INVALID` on bytes that are not text in that encoding.
 */
export function decodeText(bytes: Uint8Array): string {
  const encoding = encodingOf(bytes)
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new AgentError('ERR_PROFILE_INVALID', `not ${encoding.toUpperCase()} text`, { cause })
  }
}

function encodingOf([first, second]: Uint8Array): 'utf-8' | 'utf-16le' | 'utf-16be' {
  if ((first === 0xff && second === 0xfe) || (first !== 0 && second === 0)) return 'utf-16le'
  if ((first === 0xfe && second === 0xff) || (first === 0 && second !== 0)) return 'utf-16be'
  return 'utf-8'
}
