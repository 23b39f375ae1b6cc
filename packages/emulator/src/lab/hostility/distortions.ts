import type { HttpResponse, Instant } from '@certfleet/agent-core'
import { openCertificatesOnly } from '@certfleet/agent-core/cms'
import { content, empty } from '../http.ts'
import type { Dice } from './chance.ts'

/** 503, with what servers and the boxes before them put into Retry-After (RFC 9110 10.2.3): seconds, a date, and nonsense. */
export function unavailable(dice: Dice, now: Instant): HttpResponse {
  const date = (ms: number) => new Date(now + ms).toUTCString()
  return empty(503, {
    'retry-after': dice.pick(['1', '120', date(60_000), date(-86_400_000), '99999999999999999999', '-1', '1e3', 'soon', '']),
  })
}

/** What is heard of a request whose answer got lost on the way. */
export function lost(dice: Dice): HttpResponse {
  return empty(dice.pick([500, 502, 503]))
}

/** Cut at any octet, the first and the last among them; what has no body stays. */
export function truncated(response: HttpResponse, dice: Dice): HttpResponse {
  const { body } = response
  return body.length === 0 ? response : { ...response, body: body.subarray(0, dice.between(0, body.length - 1)) }
}

const types = [
  'text/html',
  'application/octet-stream',
  'application/x-x509-ca-cert',
  'application/pkcs7-mime; smime-type=x',
  'nonsense',
  '',
]

export function wronglyTyped(response: HttpResponse, dice: Dice): HttpResponse {
  return { ...response, headers: { ...response.headers, 'content-type': dice.pick(types) } }
}

/** What is no bundle stays as it is. */
export function reordered(response: HttpResponse, dice: Dice): HttpResponse {
  if (response.status !== 200) return response
  const { certificates } = openCertificatesOnly(response.body)
  const together = Buffer.concat(certificates)
  const start = Buffer.from(response.body).indexOf(together)
  if (start < 0) return response
  // A SET OF in DER is sorted, so that any other order is written over it.
  const body = Uint8Array.from(response.body)
  body.set(Buffer.concat(shuffled(certificates, dice)), start)
  return { ...response, body }
}

/** Never below what a device may assume of a CA that tells nothing. */
export function oddCapabilities(response: HttpResponse, dice: Dice): HttpResponse {
  if (response.status !== 200) return response
  const text = Buffer.from(response.body).toString('latin1')
  const words = text.split('\n')
  const unknown = ['Teleportation', 'SHA-4096', 'x'.repeat(5_000), 'AES ECB', '\u0000\u0007']
  return dice.pick([
    () => ({ ...response, body: Buffer.from(words.join('\r\n')) }),
    () => ({ ...response, body: Buffer.from(shuffled([...words, ...unknown], dice).join('\n')) }),
    () => ({ ...response, body: Buffer.from(`\r\n\r\n  ${words.join('  \r\n\t').toUpperCase()}\r\n\r\n`) }),
    () => content(200, 'text/html', '<!DOCTYPE html>\n<html><body><h1>It works!</h1>\nAES\n</body></html>\n'),
    () => content(200, 'text/plain', ''),
    () => content(404, 'text/html', '<html>no such page</html>'),
  ])()
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], dice: Dice): readonly T[] {
  const all = [...items]
  for (let i = all.length - 1; i > 0; i--) {
    const other = dice.between(0, i)
    ;[all[i], all[other]] = [all[other] as T, all[i] as T]
  }
  return all
}
