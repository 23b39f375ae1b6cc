import type { Finding } from './types.ts'

/** A finding before it is placed in its file. */
export type Remark = Omit<Finding, 'file' | 'profile'>

/** What makes a profile undeliverable, and in which member. */
export interface Problem {
  readonly path: string
  readonly message: string
}
