import { AgentError } from '@certfleet/agent-core'
import { type FactOverrides, factOverrides, factsOf, type PlatformName } from '@certfleet/platforms'
import { type Command, InvalidArgumentError } from 'commander'
import { InputError } from '../scenario/input-error.ts'

export interface FactOptions {
  readonly fact?: FactOverrides
}

export function withFacts(command: Command): Command {
  const flags = '--fact <id=value>'
  return command.option(flags, 'say otherwise than a fact that is inferred or was seen once; may be repeated', factOption)
}

/** `ID=VALUE`, after those given before. The value is JSON where it can be read as that, else text. */
export function factOption(text: string, earlier: FactOverrides = new Map()): FactOverrides {
  const [, id = '', value = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? []
  if (id === '') throw new InvalidArgumentError('Expected ID=VALUE, such as android.pending.polls=5; certfleet facts lists the ids.')
  if (earlier.has(id)) throw new InvalidArgumentError(`The fact ${id} is given twice; leave one out.`)
  try {
    return new Map([...earlier, ...factOverrides({ [id]: jsonOrText(value) })])
  } catch (error) {
    if (error instanceof AgentError) throw new InvalidArgumentError(`${error.message}.`)
    throw error
  }
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** A fact that is about none of these, each at its OS version, would have no effect. */
export function refuseFactsOfOthers(overrides: FactOverrides | undefined, subjects: Iterable<FactSubject>): void {
  if (overrides === undefined) return
  const versions = new Map([...subjects].map((subject) => [`${subject.platform} ${subject.osVersion}`, subject]))
  const known = new Set([...versions.values()].flatMap(({ platform, osVersion }) => factsOf(platform, osVersion).map(({ id }) => id)))
  const foreign = [...overrides.keys()].find((id) => !known.has(id))
  if (foreign === undefined) return
  const all = [...versions.keys()]
  throw new InputError(
    `the fact ${foreign} is not about ${all.length > 1 ? 'any of the devices' : all[0]}, so that it has no effect; leave it out`,
  )
}

export interface FactSubject {
  readonly platform: PlatformName
  readonly osVersion: string
}
