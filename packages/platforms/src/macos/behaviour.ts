import { appleBehaviour } from '../apple/behaviour.ts'
import type { Behaviour } from '../behaviour.ts'
import { says } from '../fact.ts'
import type { Os } from '../os.ts'
import { macosFacts } from './facts.ts'

export function macosBehaviour(os: Os): Behaviour {
  return appleBehaviour({ order: says(macosFacts.order, os), userAgent: says(macosFacts.userAgent, os) }, os)
}
