import { mkdir } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { libraryFile } from './install.ts'
import { type Processes, until } from './processes.ts'
import { pins, type RunningToken, tokenEnv } from './soft-token.ts'

/**
 * A TPM 2.0 as swtpm simulates it, behind a resource manager on a bus of its own (a TPM has room for three keys at once),
 * and tpm2-pkcs11 with one token in it. Everything is in `folder`.
 */
export async function startTpmToken(processes: Processes, folder: string): Promise<RunningToken> {
  const [state, store] = [join(folder, 'state'), join(folder, 'store')]
  for (const each of [state, store]) await mkdir(each, { recursive: true })
  const port = await freePorts()
  const at = (each: number) => `type=tcp,port=${each},bindaddr=127.0.0.1`
  const flags = ['--flags', 'not-need-init,startup-clear']
  processes.start('swtpm', ['socket', '--tpm2', '--tpmstate', `dir=${state}`, '--server', at(port), '--ctrl', at(port + 1), ...flags])

  const bus = `unix:path=${join(folder, 'bus')}`
  processes.start('dbus-daemon', ['--session', '--nofork', '--nopidfile', `--address=${bus}`])
  const env = {
    DBUS_SESSION_BUS_ADDRESS: bus,
    TPM2TOOLS_TCTI: 'tabrmd:bus_type=session',
    TPM2_PKCS11_TCTI: 'tabrmd:bus_type=session',
    TPM2_PKCS11_STORE: store,
    // Else the libraries write of every refusal, which tests provoke, to stderr.
    TPM2_PKCS11_LOG_LEVEL: '0',
    TSS2_LOG: 'all+NONE',
  }
  const all = { ...process.env, ...env }
  await startResourceManager(processes, port, all)
  const run = (program: string, ...args: string[]) => processes.run(program, args, { env: all })
  await run('tpm2_ptool', 'init', `--path=${store}`)
  const officer = [`--sopin=${pins.officer}`, `--userpin=${pins.user}`]
  await run('tpm2_ptool', 'addtoken', '--pid=1', ...officer, '--label=tpm0', `--path=${store}`)
  const module = libraryFile('pkcs11/libtpm2_pkcs11.so')
  return { name: 'TPM 2.0 (swtpm)', env: { ...env, ...tokenEnv(`pkcs11:${module}?token=tpm0&protection=tpm`) } }
}

/** It waits for neither bus nor TPM, and does not end when it found none. */
async function startResourceManager(processes: Processes, port: number, env: NodeJS.ProcessEnv): Promise<void> {
  const says = (program: string, ...args: string[]) => processes.run(program, args, { env }).catch(() => '')
  const bus = ['--session', '--print-reply', '--dest=org.freedesktop.DBus', '/org/freedesktop/DBus']
  await until('the bus', async () => (await says('dbus-send', ...bus, 'org.freedesktop.DBus.GetId')) !== '')
  await until('swtpm', async () => (await says('swtpm_ioctl', '--tcp', `127.0.0.1:${port + 1}`, '-c')) !== '')
  processes.start('tpm2-abrmd', ['--session', '--allow-root', '--flush-all', `--tcti=swtpm:host=127.0.0.1,port=${port}`], env)
  const owner = [...bus, 'org.freedesktop.DBus.NameHasOwner', 'string:com.intel.tss2.Tabrmd']
  await until('tpm2-abrmd', async () => (await says('dbus-send', ...owner)).includes('boolean true'))
}

/** Two free ports in a row: clients of swtpm expect its control port behind the other one. */
async function freePorts(): Promise<number> {
  for (let tried = 0; tried < 50; tried++) {
    const first = await listening(0)
    if (!first) continue
    const { port } = first.address() as AddressInfo
    const second = await listening(port + 1)
    for (const server of [first, second]) await new Promise((resolve) => server?.close(resolve) ?? resolve(undefined))
    if (second) return port
  }
  throw new Error('there are no two free ports in a row')
}

function listening(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}
