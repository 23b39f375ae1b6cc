import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openKeyStorage, systemClock } from '@certfleet/agent-core'
import { runCommandLine } from '@certfleet/emulator/commands'
import t, { type Test } from 'tap'
import { keysBefore } from '../fakes/key-folders.ts'
import { command, terminal } from './terminal.ts'

const rsa = { algorithm: 'rsa', bits: 2048 } as const
const p256 = { algorithm: 'ec', curve: 'P-256' } as const

t.test('keys list tells what is in a folder, without a secret', async (t) => {
  const state = await agentFolder(t)
  const { exitCode, stdout, stderr } = await command(['keys', 'list', '--state', state, '--json'])
  t.equal(exitCode, 0, stderr)
  t.strictSame(JSON.parse(stdout), {
    keys: [
      { label: 'wi-fi', storage: 'software', key: 'P-256', publicKeySha256: await publicKeyOf(state, 'software', 'wi-fi') },
      { label: 'vpn', storage: 'tpm', key: 'RSA-2048', publicKeySha256: await publicKeyOf(state, 'tpm', 'vpn') },
    ],
  })
  const text = await command(['keys', 'list', '--state', state])
  t.match(
    text.stdout,
    /^label +storage +key +SHA-256 of the public key +certificate\nwi-fi +software +P-256 +[0-9a-f]{64} +-\nvpn +tpm +RSA-2048 /,
  )
})

t.test('keys list finds the certificate that is beside its key', async (t) => {
  const state = await agentFolder(t)
  const publicKey = join(state, 'public.pem')
  const storage = await openKeyStorage({ kind: 'tpm' }, { clock: systemClock, folder: state })
  const vpn = await storage.open('vpn')
  await storage.close()
  writeFileSync(join(state, 'public.der'), vpn?.publicKey ?? '')
  openssl('pkey', '-pubin', '-inform', 'DER', '-in', join(state, 'public.der'), '-out', publicKey)
  const foreign = join(state, 'foreign.key')
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', foreign, '-subj', '/CN=a', '-out', join(state, 'cert.pem'))
  openssl('req', '-new', '-key', foreign, '-subj', '/CN=b', '-out', join(state, 'b.csr'))
  openssl('x509', '-req', '-in', join(state, 'b.csr'), '-signkey', foreign, '-force_pubkey', publicKey, '-out', join(state, 'cert-2.pem'))
  writeFileSync(join(state, 'cert-3.pem'), 'no certificate')
  const { keys } = JSON.parse((await command(['keys', 'list', '--state', state, '--json'])).stdout)
  t.match(keys, [
    { label: 'wi-fi', certificate: undefined },
    { label: 'vpn', certificate: join(state, 'cert-2.pem') },
  ])
})

t.test('keys list where there is little to tell', async (t) => {
  const state = t.testdir({ full: { keys: { software: { [`${'a'.repeat(64)}.key`]: 'torn' } } }, empty: {}, file: '' })
  t.match(await command(['keys', 'list', '--state', join(state, 'empty')]), { exitCode: 0, stdout: 'no keys\n' })
  t.match(await command(['keys', 'list', '--state', join(state, 'empty'), '--json']), { exitCode: 0, stdout: '{"keys":[]}\n' })
  t.match(await command(['keys', 'list', '--state', join(state, 'none')]), {
    exitCode: 2,
    stderr: /--state .*none: cannot be read \(ENOENT\)/,
  })
  t.match(await command(['keys', 'list', '--state', join(state, 'file')]), { exitCode: 2, stderr: /cannot be read \(ENOTDIR\)/ })
  const torn = await command(['keys', 'list', '--state', join(state, 'full'), '--json'])
  t.match(torn, { exitCode: 1, stderr: /\.key is not .*; it was left as it is\n {2}ERR_STATE_INVALID/ }, 'a file that is torn')
  t.match(JSON.parse(torn.stdout), { error: { code: 'ERR_STATE_INVALID' } })
})

t.test('keys destroy', async (t) => {
  const state = await agentFolder(t)
  const destroy = (...rest: string[]) => ['keys', 'destroy', ...rest, '--state', state]

  const unknown = await command(destroy('wifi', '--yes'))
  t.match(
    unknown,
    { exitCode: 1, stderr: /^certfleet: no key "wifi"; there are "wi-fi", "vpn"\n {2}ERR_KEY_UNAVAILABLE/ },
    'a label that is not there',
  )
  const alone = await command(destroy('vpn'))
  t.match(alone, { exitCode: 2, stderr: /there is no terminal to ask on; give --yes/ }, 'nobody to ask')
  for (const answer of ['n', '', 'yeah']) {
    const declined = await command(destroy('vpn', '--json'), {}, [answer])
    t.match(
      declined,
      { exitCode: 1, asked: ['destroy "vpn" (tpm, RSA-2048) for good? [y/N] '], stderr: /"vpn" was not destroyed/ },
      `"${answer}"`,
    )
    t.match(JSON.parse(declined.stdout), { error: { code: 'DECLINED' } })
  }
  const { io, seen, interrupt } = terminal({ typed: [] })
  const running = runCommandLine(destroy('vpn'), io)
  await seen(/for good/)
  interrupt()
  t.equal(await running, 130, 'Ctrl+C at the question')
  t.strictSame(await labels(state), ['wi-fi', 'vpn'], 'nothing is gone yet')

  t.match(await command(destroy('vpn'), {}, ['Y']), { exitCode: 0, stdout: 'destroyed "vpn" (tpm, RSA-2048)\n' })
  t.strictSame(await labels(state), ['wi-fi'])
  const told = await command(destroy('wi-fi', '--yes', '--json'))
  t.match(JSON.parse(told.stdout), { destroyed: [{ label: 'wi-fi', storage: 'software', key: 'P-256' }] })
  t.strictSame(await labels(state), [])
  t.match(await command(destroy('wi-fi', '--yes')), { exitCode: 1, stderr: /no key "wi-fi"; there are none/ })

  for (const kind of ['software', 'tpm'] as const) {
    const storage = await openKeyStorage({ kind }, { clock: systemClock, folder: state, secret: async () => 'passphrase' })
    t.strictSame(await storage.list(), [], `${kind}: the storage itself is in order`)
    await storage.close()
  }
})

t.test('a label that could steer a terminal is shown as its code', async (t) => {
  const state = t.testdir()
  const label = 'a b"c'
  const storage = await openKeyStorage({ kind: 'tpm' }, { clock: systemClock, folder: state })
  await storage.generate(p256, label)
  await storage.close()
  const [file = ''] = readdirSync(join(state, 'keys', 'tpm')).filter((name) => name.endsWith('.key'))
  t.match(readFileSync(join(state, 'keys', 'tpm', file), 'utf8'), JSON.stringify(label))
  t.match(await command(['keys', 'destroy', '\u001b[2J', '--state', state, '--yes']), { exitCode: 1, stderr: /no key "\\u\{1b\}\[2J"/ })
  t.match(await command(['keys', 'destroy', label, '--state', state, '--yes']), { exitCode: 0 })
})

/** One software key and one in the TPM. */
async function agentFolder(t: Test): Promise<string> {
  const folder = t.testdir()
  const options = { clock: systemClock, folder, secret: async () => 'passphrase' }
  for (const [kind, spec, label] of [
    ['software', p256, 'wi-fi'],
    ['tpm', rsa, 'vpn'],
  ] as const) {
    await keysBefore(folder, kind, 'passphrase')
    const storage = await openKeyStorage({ kind }, options)
    await storage.generate(spec, label)
    await storage.close()
  }
  return folder
}

async function publicKeyOf(folder: string, kind: 'software' | 'tpm', label: string): Promise<string> {
  const storage = await openKeyStorage({ kind }, { clock: systemClock, folder, secret: async () => 'passphrase' })
  const key = await storage.open(label)
  await storage.close()
  return createHash('sha256')
    .update(key?.publicKey ?? '')
    .digest('hex')
}

async function labels(state: string): Promise<string[]> {
  return JSON.parse((await command(['keys', 'list', '--state', state, '--json'])).stdout).keys.map(({ label }: { label: string }) => label)
}

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
