import { createHash } from 'node:crypto'

const longestName = 120
const keptOfLong = 80
const reservedOnWindows = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])$/

/**
 * A folder name for a device id: one path segment of a-z, 0-9, `_`, `-`, `%` and `~`, so that it stays inside, is no other file's
 * name, and is legal everywhere. Different ids get different names, on file systems that ignore case too.
 * Everything else, capitals included, becomes `%` and the hexadecimal octets of its UTF-8; a very long name ends in its hash after `~`.
 */
export function folderName(deviceId: string): string {
  const name = deviceId.replace(/[^a-z0-9_-]/gu, percentEncoded)
  if (name === '') return '~'
  if (reservedOnWindows.test(name)) return percentEncoded(name.charAt(0)) + name.slice(1)
  if (name.length <= longestName) return name
  return `${name.slice(0, keptOfLong)}~${createHash('sha256').update(deviceId, 'utf16le').digest('hex').slice(0, 32)}`
}

/** A lone surrogate has no UTF-8 of its own. */
function percentEncoded(character: string): string {
  const unit = character.charCodeAt(0)
  if (character.length === 1 && unit >= 0xd800 && unit <= 0xdfff) return `%u${unit.toString(16)}`
  return [...Buffer.from(character)].map((octet) => `%${octet.toString(16).padStart(2, '0')}`).join('')
}
