import { mkdir, readdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InputError } from '../scenario/input-error.ts'
import type { IssuedCertificate } from './certificates.ts'
import { folderName } from './folder-name.ts'
import { pem } from './pem.ts'

export interface RunOutput {
  /** Writes `root.pem`. */
  begin(root: Uint8Array): Promise<void>
  /** Writes these files, and `results.json` last: a folder that has it is complete. */
  finish(results: object, files: Readonly<Record<string, string>>): Promise<void>
}

/** What marks a folder as made by a run, from before its first file until it is removed by hand. */
const mark = '.certfleet-run'
const deviceFile = /^(cert|chain|csr)(-\d+)?\.pem$/

/**
 * Prepares the folder of a run. A folder that is missing or empty is taken; from one of an earlier
 * run that run's files are removed, so that none of its devices is mistaken for one of this; any other is refused with `InputError`, which
 * names `option`.
 */
export async function openOutput(folder: string, option: string): Promise<RunOutput> {
  await takeFolder(folder, option).catch((error: NodeJS.ErrnoException) => {
    if (error instanceof InputError || error.syscall === undefined) throw error
    throw new InputError(`${option} ${folder}: cannot be used (${error.code}); name a folder that can be written`)
  })
  return {
    begin: (root) => writeFile(join(folder, 'root.pem'), pem('CERTIFICATE', root)),
    async finish(results, files) {
      await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)))
      await writeFile(join(folder, 'results.json'), `${JSON.stringify(results, null, 2)}\n`)
    },
  }
}

/** Writes each device's folder: `cert.pem`, `chain.pem` (issuing CA to root), `csr.pem`; `-2`, `-3` … for further certificates. */
export function deviceFolders(folder: string): (deviceId: string, certificates: readonly IssuedCertificate[]) => Promise<void> {
  return (deviceId, certificates) => writeDevice(join(folder, folderName(deviceId)), certificates)
}

async function takeFolder(folder: string, option: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const names = await readdir(folder)
  if (names.length > 0 && !names.includes(mark)) {
    throw new InputError(`${option} ${folder}: holds files that no run made; name an empty or new folder`)
  }
  await removeEarlierRun(folder)
  await writeFile(join(folder, mark), 'made by "certfleet run", which replaces its own files when it writes here again\n')
}

/** Only what a run writes: anything that somebody put there since stays. */
async function removeEarlierRun(folder: string): Promise<void> {
  await Promise.all(['results.json', 'report.html', 'junit.xml', 'root.pem'].map((name) => rm(join(folder, name), { force: true })))
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeDevice(join(folder, entry.name))
  }
}

async function removeDevice(folder: string): Promise<void> {
  const names = await readdir(folder)
  const own = names.filter((name) => deviceFile.test(name))
  await Promise.all(own.map((name) => rm(join(folder, name))))
  if (own.length > 0 && own.length === names.length) await rmdir(folder)
}

async function writeDevice(folder: string, certificates: readonly IssuedCertificate[]): Promise<void> {
  await mkdir(folder, { recursive: true })
  const files = certificates.flatMap(({ chain, csr }, index) => {
    const [leaf, ...issuers] = chain
    const suffix = index === 0 ? '' : `-${index + 1}`
    return [
      [`cert${suffix}.pem`, leaf ? pem('CERTIFICATE', leaf) : ''],
      [`chain${suffix}.pem`, issuers.map((issuer) => pem('CERTIFICATE', issuer)).join('')],
      ...(csr ? ([[`csr${suffix}.pem`, pem('CERTIFICATE REQUEST', csr)]] as const) : []),
    ] as const
  })
  await Promise.all(files.map(([name, text]) => writeFile(join(folder, name), text)))
}
