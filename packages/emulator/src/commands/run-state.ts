import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { InputError } from '../scenario/input-error.ts'
import { createFile } from './new-file.ts'

const stateSchema = z.strictObject({
  kind: z.literal('certfleet-run'),
  version: z.literal(1),
  run: z.string(),
  host: z.string().optional(),
  port: z.int(),
  registrationToken: z.string(),
})

/** What the embedded lab of a run over a queue needs to be found again by devices that are under way. A secret is in it. */
export type LabAgain = Pick<z.infer<typeof stateSchema>, 'run' | 'host' | 'port' | 'registrationToken'>

const fileIn = (folder: string): string => join(folder, 'run.json')

/** Takes a folder for the lab of a new run. One that holds anything: `InputError`. */
export async function takeLabState(folder: string): Promise<void> {
  const names = await mkdir(folder, { recursive: true, mode: 0o700 })
    .then(() => readdir(folder))
    .catch(({ code }: NodeJS.ErrnoException) => {
      throw new InputError(`--state ${folder}: cannot be used (${code}); name a folder that can be written`)
    })
  if (names.includes('run.json'))
    throw new InputError(`--state ${folder}: keeps the lab of another run; go on with that one by "certfleet resume", or name a new folder`)
  if (names.length > 0) throw new InputError(`--state ${folder}: holds something else; a run over a queue takes a new or empty folder`)
}

/** Mode 600. */
export async function keepLabAgain(folder: string, lab: LabAgain): Promise<void> {
  const kept: z.infer<typeof stateSchema> = { kind: 'certfleet-run', version: 1, ...lab }
  await createFile(fileIn(folder), `${JSON.stringify(kept)}\n`, 0o600)
}

/** Of that run. Anything else is `InputError`. */
export async function labAgainIn(folder: string, run: string): Promise<LabAgain> {
  const text = await readFile(fileIn(folder), 'utf8').catch(({ code }: NodeJS.ErrnoException) => {
    throw new InputError(
      `--state ${folder}: keeps no lab of a run over a queue (run.json: ${code}); name the folder that run ${run} was begun with`,
    )
  })
  const { data } = stateSchema.safeParse(parsed(text))
  if (!data) throw new InputError(`--state ${folder}: its run.json is torn or another file; name the folder that run ${run} was begun with`)
  if (data.run !== run) throw new InputError(`--state ${folder}: keeps the lab of run ${data.run}, and not of ${run}`)
  return data
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
