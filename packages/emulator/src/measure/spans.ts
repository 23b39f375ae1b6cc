import type { FleetPlatform } from '../scenario/schema.ts'
import type { Step } from './types.ts'

/** What a span is of: one pass of a device, or a step of it. */
export type SpanName = 'device' | Step

/** Whose. There is no place for more, so that no URL and no secret gets in. */
export interface SpanAttributes {
  readonly device: string
  readonly platform: FleetPlatform
}

/**
 * Where the spans of a run go. Does the work, gives what it gives and throws what it throws; a span that is opened during the work is
 * a child of this one.
 */
export interface Tracing {
  span<T>(name: SpanName, attributes: SpanAttributes, work: () => Promise<T>): Promise<T>
}

/** No spans, and no cost. */
export const noTracing: Tracing = { span: (_name, _attributes, work) => work() }
