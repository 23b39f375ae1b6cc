import { existsSync } from 'node:fs'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { root } from '../tooling/root.ts'
import type { Processes } from './processes.ts'

/** Debian's packages, by a file or program that each brings. */
const tokenPackages = {
  dbus: 'dbus-daemon',
  'libtpm2-pkcs11-1': '/usr/lib/*/pkcs11/libtpm2_pkcs11.so',
  'libtpm2-pkcs11-tools': 'tpm2_ptool',
  'libtss2-tcti-swtpm0': '/usr/lib/*/libtss2-tcti-swtpm.so.0',
  'libtss2-tcti-tabrmd0': '/usr/lib/*/libtss2-tcti-tabrmd.so.0',
  opensc: 'pkcs11-tool',
  openssl: 'openssl',
  softhsm2: 'softhsm2-util',
  swtpm: 'swtpm',
  'swtpm-tools': 'swtpm_ioctl',
  'tpm2-abrmd': 'tpm2-abrmd',
  'tpm2-tools': 'tpm2_getcap',
}
const compilerPackages = { 'g++': 'g++', make: 'make', python3: 'python3' }

/** Installs what is missing: the tokens, and the bindings to PKCS#11 libraries. */
export async function installEverything(processes: Processes): Promise<void> {
  await installDebian(processes, tokenPackages)
  if (await isThere('pkcs11js')) return
  await installDebian(processes, compilerPackages)
  await installBindings(processes)
}

/** The folder of Debian's libraries for this machine, or of the file below it. */
export function libraryFile(below: string): string {
  const triplets = [
    'x86_64-linux-gnu',
    'aarch64-linux-gnu',
    'arm-linux-gnueabihf',
    'i386-linux-gnu',
    'ppc64el-linux-gnu',
    's390x-linux-gnu',
  ]
  const found = triplets.map((triplet) => join('/usr/lib', triplet, below)).find(existsSync)
  return found ?? join('/usr/lib', below)
}

async function installDebian(processes: Processes, packages: Readonly<Record<string, string>>): Promise<void> {
  const missing = Object.keys(packages).filter((name) => !isInstalled(packages[name] as string))
  if (missing.length === 0) return
  console.log(`# installing ${missing.join(' ')}`)
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const apt = async (...args: string[]) => {
    const [program = '', ...rest] = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args]
    await processes.run(program, rest)
  }
  try {
    await apt('update')
    await apt('install', '-y', '--no-install-recommends', ...missing)
  } catch (cause) {
    throw new Error(`these Debian packages are missing and could not be installed: ${missing.join(' ')}`, { cause })
  }
}

function isInstalled(proof: string): boolean {
  if (proof.startsWith('/usr/lib/*/')) return existsSync(libraryFile(proof.slice('/usr/lib/*/'.length)))
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, proof)))
}

/** Node's headers, where they came with it: else node-gyp downloads them. */
function ownHeaders(): readonly string[] {
  const folder = dirname(dirname(process.execPath))
  return existsSync(join(folder, 'include/node/node.h')) ? [`--nodedir=${folder}`] : []
}

async function isThere(name: string): Promise<boolean> {
  return import(name).then(
    () => true,
    () => false,
  )
}

/**
 * Puts pkcs11js into the checkout's node_modules, and neither in package.json nor in the lock. It is built by hand, elsewhere:
 * npm 11 may refuse to run a package's install script, and an install in the checkout would tidy everything else there too.
 */
async function installBindings(processes: Processes): Promise<void> {
  console.log('# building pkcs11js')
  const folder = await mkdtemp(join(tmpdir(), 'certfleet-pkcs11js-'))
  try {
    await writeFile(join(folder, 'package.json'), '{ "private": true }')
    const npm = (...args: string[]) => processes.run('npm', args, { cwd: folder })
    await npm('install', '--ignore-scripts', '--no-audit', '--no-fund', 'pkcs11js@2')
    await npm('explore', 'pkcs11js', '--', 'node-gyp', 'rebuild', ...ownHeaders())
    const target = join(root, 'node_modules/pkcs11js')
    await rm(target, { recursive: true, force: true })
    await cp(join(folder, 'node_modules/pkcs11js'), target, { recursive: true })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
