import {
  type Fact,
  facts,
  factsOf,
  isOverridable,
  type PlatformName,
  platformNames,
  possibleText,
  subjectTexts,
  valueText,
  versionsText,
} from '@certfleet/platforms'
import { type Command, Option } from 'commander'
import { InputError } from '../scenario/input-error.ts'
import type { ExitCode, Io } from './io.ts'
import { readingInput } from './options.ts'

interface FactsOptions {
  readonly platform?: PlatformName | 'service'
  readonly os?: string
  readonly json?: true
}

const examples = `
Examples:
  $ certfleet facts --platform windows --os 8.1
  $ certfleet facts --platform service
  $ certfleet facts --json

Sure: V read in the source, D decoded from bytes that the source publishes, I inferred from the source, K general knowledge; a 1 behind it:
the source is the log or capture of a single device. Facts of D, I and K, and those of one device, give way to "--fact ID=VALUE" of run,
enroll and lab, and to the key "facts" of a scenario. docs/platforms.md has the same rows with the sources explained.`

export function defineFacts(program: Command, io: Io, end: (code: ExitCode) => void): void {
  program
    .command('facts')
    .description('Tell what each platform does, and the service behind it: every fact that the emulation goes by, with its source')
    .addOption(
      new Option('--platform <name>', 'of one platform, or of the service side (default: all)').choices([...platformNames, 'service']),
    )
    .option('--os <version>', 'that hold at one OS version, such as 14.4, 8.1 or, for Windows Phone, "Phone 8.1"')
    .option('--json', 'print one JSON document on stdout')
    .addHelpText('after', examples)
    .action(async (options: FactsOptions) => end(await tellFacts(options, io)))
}

async function tellFacts(options: FactsOptions, io: Io): Promise<ExitCode> {
  const found = await readingInput(() => factsFor(options))
  io.out(options.json ? `${JSON.stringify({ facts: found.map(document) })}\n` : `${found.map(block).join('\n')}\n${found.length} facts\n`)
  return 0
}

function factsFor({ platform, os }: FactsOptions): readonly Fact[] {
  if (os === undefined) return platform === undefined ? facts : facts.filter(({ platforms }) => isAbout(platforms, platform))
  if (platform === undefined) throw new InputError('--os is the version of one platform; name it with --platform')
  if (platform === 'service') throw new InputError('--os: the service side has no OS version; leave it out')
  return factsOf(platform, os)
}

/** Without a version, Windows Phone is Windows. */
function isAbout(platforms: Fact['platforms'], platform: PlatformName | 'service'): boolean {
  return platforms.includes(platform) || (platform === 'windows' && platforms.includes('windows-phone'))
}

function document(fact: Fact) {
  const { id, platforms, since, until, effect, value, alternatives, source, confidence, singleLog } = fact
  return {
    ...{ id, platforms, since: since ?? null, until: until ?? null, effect, value, alternatives: alternatives ?? null },
    ...{ source, confidence, singleLog: singleLog ?? false, overridable: isOverridable(fact) },
  }
}

/** The id with what it is about, and below it, aligned, the rest. */
function block(fact: Fact): string {
  const { id, platforms, effect, value, source, confidence, singleLog } = fact
  const versions = fact.since === undefined && fact.until === undefined ? '' : `, ${versionsText(fact)}`
  const lines: readonly (readonly [string, string])[] = [
    ['does', effect],
    ['value', valueText(value)],
    ['source', `${source} (${confidence}${singleLog ? ' 1' : ''})`],
    ...(isOverridable(fact) ? [['override', possibleText(fact)] as const] : []),
  ]
  const about = platforms.map((subject) => subjectTexts[subject]).join(', ')
  return `${[`${id}  (${about}${versions})`, ...lines.map(([name, text]) => `  ${name.padEnd(8)}  ${text}`)].join('\n')}\n`
}
