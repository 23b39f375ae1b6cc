import { AgentError } from '@certfleet/agent-core'
import { ProxyTracerProvider, type Span, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api'
import { InputError } from '../scenario/input-error.ts'
import type { SpanAttributes, SpanName, Tracing } from './spans.ts'

/**
 * Spans by OpenTelemetry's API, for the SDK that the user loads before the program, which alone decides where they go. Refused
 * (`InputError`) where none is loaded: nobody would notice that no span comes.
 */
export function loadedTracing(): Tracing {
  const provider = trace.getTracerProvider()
  if (provider instanceof ProxyTracerProvider && provider.getDelegateTracer(scope) === undefined)
    throw new InputError(
      '--otel: no OpenTelemetry SDK is loaded, or one for another version of its API; load yours first: NODE_OPTIONS="--import ./tracing.mjs"',
    )
  return tracingBy(trace.getTracer(scope))
}

const scope = 'certfleet'

export function tracingBy(tracer: Tracer): Tracing {
  return {
    span: (name, attributes, work) =>
      tracer.startActiveSpan(name, { attributes: attributesOf(name, attributes) }, async (span) => {
        try {
          return await work()
        } catch (error) {
          tellError(span, error)
          throw error
        } finally {
          span.end()
        }
      }),
  }
}

function attributesOf(name: SpanName, { device, platform }: SpanAttributes): Record<string, string> {
  return {
    'certfleet.device': device,
    'certfleet.platform': platform,
    ...(name !== 'device' && { 'certfleet.step': name }),
  }
}

/** The code alone: a message and a stack of others may hold anything. `error.type` is OpenTelemetry's name for it. */
function tellError(span: Span, error: unknown): void {
  const type = error instanceof AgentError ? error.code : '_OTHER'
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR, message: type })
}
