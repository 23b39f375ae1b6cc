import { stat } from 'node:fs/promises'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import type { Io } from './io.ts'
import { firstLineOf } from './read-input.ts'

/** What others may do with a file. */
const othersMode = 0o077

/** The first line of the file that was named, else CERTFLEET_ADMIN_TOKEN; neither: `InputError`. Warns of who else could read it. */
export async function adminToken(url: string, file: string | undefined, io: Io): Promise<string> {
  const token = file === undefined ? io.env.CERTFLEET_ADMIN_TOKEN : await firstLineOf('--token-file', file, 'the admin token')
  if (!token)
    throw new InputError("no admin token: set CERTFLEET_ADMIN_TOKEN or name a file with --token-file; the lab's first line has it")
  if (!/^[\w.~+/-]+=*$/.test(token)) throw new InputError('the admin token holds characters that no token has')
  // Windows keeps no such mode.
  if (file !== undefined && process.platform !== 'win32' && ((await stat(file)).mode & othersMode) !== 0)
    io.err(printable(`warning: --token-file ${file}: others on this machine can read it; "chmod 600" ends that\n`))
  if (sendsInTheClear(url)) io.err('warning: --url: the token goes over the network in the clear; https ends that\n')
  return token
}

function sendsInTheClear(url: string): boolean {
  const { protocol, hostname } = URL.canParse(url) ? new URL(url) : { protocol: '', hostname: '' }
  return protocol === 'http:' && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)
}
