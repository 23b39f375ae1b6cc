export { loadedTracing, tracingBy } from '../measure/otel.ts'
export { noTracing, type SpanAttributes, type SpanName, type Tracing } from '../measure/spans.ts'
export type { Measurements, Meter, Step, StepError } from '../measure/types.ts'
export type { LiveError, LiveFacts, LiveStep, LiveWorker } from '../report/live.ts'
export { liveLines } from '../report/live-block.ts'
export { type LiveSink, liveLine, showLive } from '../report/live-view.ts'
export { type Log, type LogOptions, openLog } from '../report/log.ts'
export { type LogEvent, type LoggedRequest, type LoggedResponse, type LogLevel, logLevels } from '../report/log-events.ts'
export { type MetricsOptions, type ServedMetrics, serveMetrics } from '../report/metrics.ts'
export { type ProgressFacts, type ProgressSink, progressLine, showProgress } from '../report/progress.ts'
export { isGood, type KeyResults, type LatencyMs, type PlatformResults, type RunResults, resultsOf } from '../report/results.ts'
export type { LoadResults } from '../report/schema.ts'
export { renderResults } from '../report/table.ts'
export { type Judged, judge, thresholdsOf } from '../report/verdict.ts'
export { type FleetPlatform, fleetPlatforms } from '../scenario/devices.ts'
export { InputError } from '../scenario/input-error.ts'
export { loadScenario, parseScenario } from '../scenario/load.ts'
export { type Population, populationOf } from '../scenario/population.ts'
export type { ScenarioDocument, Seed } from '../scenario/schema.ts'
export { parseThreshold, type Threshold } from '../scenario/threshold.ts'
export type { IssuedCertificate } from './certificates.ts'
export type { DeviceSpec, DeviceSurroundings } from './device.ts'
export { type EmbeddedLab, type EmbeddedLabOptions, startEmbeddedLab } from './embedded-lab.ts'
export { type FaultOptions, faultyTransport, type InjectedFault, injectedFaults } from './faults.ts'
export { folderName } from './folder-name.ts'
export type { FleetKeyStorage } from './key-storage.ts'
export type { DeviceFailure, DeviceOutcome, FleetOutcome, ProfileOutcome } from './outcome.ts'
export { openOutput, type RunOutput } from './output.ts'
export type { Admission, DeviceService, DeviceStorage, FleetTarget, PushEvents } from './ports.ts'
export { type FleetOptions, runFleet } from './run.ts'
export { type PolicyServiceTargetOptions, policyServiceTarget } from './target/policy-service.ts'
export { readTarget } from './target/read-target.ts'
export { type ScepChallenge, type ScepTargetOptions, scepTarget } from './target/scep.ts'
export { type ScepPolicies, scepPolicies } from './target/scep-policies.ts'
export {
  type OpenTargetOptions,
  openTarget,
  policiesOf,
  type TargetSettings,
  type TargetTransportOptions,
  targetTransport,
  urlsOf,
} from './target/settings.ts'
