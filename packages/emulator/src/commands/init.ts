import { dirname, isAbsolute, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { InputError } from '../scenario/input-error.ts'
import { scenarioJsonSchema } from '../scenario/json-schema.ts'
import { scenarioTemplate } from '../scenario/template.ts'
import type { ExitCode, Io } from './io.ts'
import { createFile } from './new-file.ts'

interface InitOptions {
  readonly stdout?: true
  readonly schema?: true
}

const defaultFile = 'scenario.yaml'
const schemaFile = fileURLToPath(new URL('../../schema/scenario.schema.json', import.meta.url))

const examples = `
Examples:
  $ certfleet init
  $ certfleet init load.yaml
  $ certfleet init - | less
  $ certfleet init --schema > scenario.schema.json

The first line names the JSON Schema of the installed package, by which editors complete and check what is written.
A file that exists is not overwritten.`

export function defineInit(program: Command, io: Io, end: (code: ExitCode) => void): void {
  program
    .command('init')
    .description('Write a commented scenario with every key, to start from')
    .argument('[file]', `where to; - for stdout (default: ${defaultFile})`)
    .option('--stdout', 'print it instead')
    .option('--schema', 'print the JSON Schema of scenarios instead')
    .addHelpText('after', examples)
    .action(async (file: string | undefined, options: InitOptions) => end(await init(file, options, io)))
}

async function init(file: string | undefined, { stdout, schema }: InitOptions, io: Io): Promise<ExitCode> {
  const isPrinted = stdout || schema || file === '-'
  if (isPrinted && file !== undefined && file !== '-')
    throw new InputError(`${file}: is not written beside --stdout or --schema; leave it out`)
  if (schema) io.out(`${JSON.stringify(scenarioJsonSchema(), null, 2)}\n`)
  else if (isPrinted) io.out(scenarioTemplate(schemaFrom('.')))
  else await write(file ?? defaultFile, io)
  return 0
}

async function write(file: string, io: Io): Promise<void> {
  await createFile(file, scenarioTemplate(schemaFrom(dirname(file))), 0o644)
  io.out(`${file}: written; try: certfleet run ${file}\n`)
}

/** Relative where the package is installed at or below the folder, so that the file can move with both. */
function schemaFrom(folder: string): string {
  const path = relative(resolve(folder), schemaFile)
  return path.startsWith('..') || isAbsolute(path) ? schemaFile : path.replaceAll('\\', '/')
}
