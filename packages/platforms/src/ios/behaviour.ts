import { appleBehaviour } from '../apple/behaviour.ts'
import type { Behaviour } from '../behaviour.ts'
import { iosFacts } from './facts.ts'

export function iosBehaviour(): Behaviour {
  return appleBehaviour({ order: iosFacts.order.value, userAgent: iosFacts.userAgent.value })
}
