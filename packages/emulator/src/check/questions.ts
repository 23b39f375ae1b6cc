import type { CheckContext } from './types.ts'

/** One of the questions that admins ask before rollout, and whether what is known answers it. */
export interface QuestionAnswer {
  readonly question: string
  readonly answered: 'yes' | 'in-part' | 'no'
  /** What would have to be known, and how to tell it. Absent where nothing is missing. */
  readonly missing?: string
}

export interface KnownBesides {
  readonly probed: boolean
  readonly emulated: boolean
}

/** In the order of `graph-and-delivery`: what is missing limits what can be answered, and this says so. */
export function answersOf(_context: CheckContext, _besides: KnownBesides): readonly QuestionAnswer[] {
  return []
}
