import { appleBehaviour } from '../apple/behaviour.ts'
import type { Behaviour } from '../behaviour.ts'
import { macosFacts } from './facts.ts'

export function macosBehaviour(): Behaviour {
  return appleBehaviour({ order: macosFacts.order.value, userAgent: macosFacts.userAgent.value })
}
