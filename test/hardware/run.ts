/**
 * Tests the PKCS#11 provider on tokens that are real to it: SoftHSM 2, and a TPM 2.0 (swtpm behind tpm2-abrmd and tpm2-pkcs11).
 * Installs what is missing, makes both tokens in a temporary folder, runs every test of this folder on each, and stops what it started.
 * An argument picks the tests whose file name has it in it; `--bench` runs the benchmark of key storage on each token instead.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installEverything } from './install.ts'
import { processes } from './processes.ts'
import { type RunningToken, startSoftToken } from './soft-token.ts'
import { startTpmToken } from './tpm-token.ts'

const here = fileURLToPath(new URL('.', import.meta.url))
const started = processes()
// Where Debian has some of the servers, which is not on everybody's path.
process.env.PATH = `${process.env.PATH}:/usr/sbin:/sbin`
const folder = await mkdtemp(join(tmpdir(), 'certfleet-'))
let isStopped = false

async function tidy(): Promise<void> {
  isStopped = true
  await started.stop()
  await rm(folder, { recursive: true, force: true })
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => void tidy().finally(() => process.exit(130)))
}

try {
  await installEverything(started)
  const [only = ''] = process.argv.slice(2)
  const tests = (await readdir(here)).filter((file) => /\.test\.[jt]s$/.test(file) && file.includes(only)).sort()
  const files = only === '--bench' ? [join('..', 'bench', `key-storage${extname(import.meta.url)}`)] : tests
  for (const start of [startSoftToken, startTpmToken]) await test(await start(started, join(folder, start.name)), files)
} catch (error) {
  console.error(error)
  console.error(started.said())
  process.exitCode = 1
} finally {
  await tidy()
}

async function test({ name, env }: RunningToken, files: readonly string[]): Promise<void> {
  for (const file of files) {
    if (isStopped) return
    console.log(`\n# ${name}: ${file}`)
    const exitCode = await started.follow(process.execPath, [...process.execArgv, join(here, file)], { ...process.env, ...env })
    if (exitCode !== 0) process.exitCode = 1
  }
}
