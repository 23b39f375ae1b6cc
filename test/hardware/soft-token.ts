import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { libraryFile } from './install.ts'
import type { Processes } from './processes.ts'

/** A token that is running, and the environment of who wants to use it. */
export interface RunningToken {
  readonly name: string
  readonly env: NodeJS.ProcessEnv
}

export const pins = { user: '1234', officer: '5678' }

/** What tests read: which token, and its PIN. */
export function tokenEnv(address: string): NodeJS.ProcessEnv {
  return { CERTFLEET_HARDWARE_TOKEN: address, CERTFLEET_HARDWARE_PIN: pins.user }
}

/** SoftHSM 2 with one token, in files of `folder`. */
export async function startSoftToken(processes: Processes, folder: string): Promise<RunningToken> {
  await mkdir(join(folder, 'tokens'), { recursive: true })
  const settings = join(folder, 'softhsm2.conf')
  await writeFile(settings, `directories.tokendir = ${join(folder, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n`)
  const env = { SOFTHSM2_CONF: settings }
  const wish = ['--init-token', '--free', '--label', 'dev0', '--so-pin', pins.officer, '--pin', pins.user]
  await processes.run('softhsm2-util', wish, { env: { ...process.env, ...env } })
  const module = libraryFile('softhsm/libsofthsm2.so')
  return { name: 'SoftHSM 2', env: { ...env, ...tokenEnv(`pkcs11:${module}?token=dev0`) } }
}
