import { appleBehaviour } from '../apple/behaviour.ts'
import type { Behaviour } from '../behaviour.ts'
import { says } from '../fact.ts'
import type { Os } from '../os.ts'
import { iosFacts } from './facts.ts'

export function iosBehaviour(os: Os): Behaviour {
  return appleBehaviour({ order: says(iosFacts.order, os), userAgent: says(iosFacts.userAgent, os) }, os)
}
