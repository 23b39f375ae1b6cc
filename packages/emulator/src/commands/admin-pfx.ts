import type { Command } from 'commander'
import { encryptPfxPassword } from '../lab/index.ts'
import { InputError } from '../scenario/input-error.ts'
import { type AdminOptions, tellDone } from './admin-actions.ts'
import { type AdminClient, segment } from './admin-client.ts'
import { pfxColumns, tellRows } from './admin-tell.ts'
import type { Io } from './io.ts'
import { readInput } from './read-input.ts'
import { readSecret } from './secret-input.ts'

interface ImportOptions extends AdminOptions {
  readonly user?: string
  readonly purpose: string
  readonly passwordFile?: string
}

const examples = `
Examples:
  $ certfleet admin --url http://127.0.0.1:8085 pfx import ada.pfx --user ada@contoso.example --purpose smimeEncryption --password-file ada.pin

The password is the first line of --password-file, else CERTFLEET_PIN, else asked for; it leaves this machine encrypted to the connector's key.
Purposes: unassigned, smimeEncryption, smimeSigning, vpn, wifi.`

const files = 'deviceManagement/userPfxCertificates'
/** In base64 within what a body may have. */
const maxPfxBytes = 512 * 1024
const maxPasswordBytes = 126

/** What a command does with a lab that runs; the signal ends it. */
export type Work = (client: AdminClient, signal: AbortSignal) => Promise<void>

export function definePfx(admin: Command, io: Io, run: (command: Command, work: Work) => Promise<void>): void {
  const pfx = admin.command('pfx').description('Import, list or delete the PFX files of users')
  pfx
    .command('import')
    .description('Import a PFX of a user, whose devices get it by the profiles for its purpose')
    .argument('<file>', 'PKCS#12')
    .option('--user <upn>', 'user principal name of whose it is')
    .option('--purpose <purpose>', 'what it is for', 'unassigned')
    .option('--password-file <file>', 'file whose first line is the password of the PFX')
    .addHelpText('after', examples)
    .action((file: string, _: ImportOptions, command: Command) =>
      run(command, (client, signal) => importPfx(file, command.optsWithGlobals(), client, io, signal)),
    )
  pfx
    .command('list')
    .description('List what is imported; neither files nor passwords are told')
    .action((_: AdminOptions, command: Command) => run(command, (client) => tellPfx(client, command.optsWithGlobals(), io)))
  pfx
    .command('delete')
    .description('Delete an imported PFX; devices keep what they have')
    .argument('<id>', 'id, or the thumbprint of one that is imported once')
    .action((id: string, _: AdminOptions, command: Command) =>
      run(command, (client) => deletePfx(id, client, command.optsWithGlobals(), io)),
    )
}

async function importPfx(file: string, options: ImportOptions, client: AdminClient, io: Io, signal: AbortSignal): Promise<void> {
  const { user, purpose, passwordFile, json } = options
  if (user === undefined) throw new InputError('pfx import: expected --user, a user principal name')
  const pfx = await readInput('pfx import', file, maxPfxBytes)
  const need = { kind: 'passphrase', of: 'PFX', isNew: false } as const
  const password = await readSecret(need, { option: '--password-file', path: passwordFile, io, signal })
  if (Buffer.byteLength(password) > maxPasswordBytes)
    throw new InputError(
      `pfx import: the password has more than ${maxPasswordBytes} octets, which cannot be encrypted to the connector's key`,
    )
  const { providerName, keyName, publicKey } = await connectorKey(client)
  const encrypted = encryptPfxPassword(password, { publicKey })
  const imported = await client.post(files, {
    ...{ userPrincipalName: user, intendedPurpose: purpose, providerName, keyName, paddingScheme: 'oaepSha512' },
    encryptedPfxBlob: pfx.toString('base64'),
    encryptedPfxPassword: Buffer.from(encrypted).toString('base64'),
  })
  tellDone({ imported }, `imported ${imported.thumbprint} for ${user}, id ${imported.id}`, json, io)
}

async function connectorKey(client: AdminClient) {
  const [connector] = await client.list('deviceManagement/certificateConnectorDetails')
  const { providerName, keyName, publicKey } = (connector?.['@certfleet.pfxImport'] ?? {}) as Record<string, unknown>
  if (typeof publicKey !== 'string') throw new InputError('pfx import: the lab has no connector that takes PFX; is --url right?')
  return { providerName, keyName, publicKey: Buffer.from(publicKey, 'base64') }
}

async function tellPfx(client: AdminClient, { json }: AdminOptions, io: Io): Promise<void> {
  tellRows('pfx', await client.list(files), pfxColumns, json === true, io)
}

async function deletePfx(wanted: string, client: AdminClient, { json }: AdminOptions, io: Io): Promise<void> {
  const all = await client.list(files)
  const thumbprint = wanted.replaceAll(':', '').toUpperCase()
  const byId = all.filter(({ id }) => id === wanted)
  const found = byId.length > 0 ? byId : all.filter((one) => one.thumbprint === thumbprint)
  const [deleted] = found
  if (deleted === undefined) throw new InputError(`no PFX has the id or thumbprint "${wanted}"`)
  if (found.length > 1) throw new InputError(`${found.length} PFX have the thumbprint "${wanted}"; give the id`)
  await client.remove(`${files}/${segment(String(deleted.id))}`)
  tellDone({ deleted }, `deleted ${deleted.thumbprint} of ${deleted.userPrincipalName}, id ${deleted.id}`, json, io)
}
