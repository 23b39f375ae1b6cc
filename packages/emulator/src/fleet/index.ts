export type { Measurements, Meter, Step, StepError } from '../measure/types.ts'
export { renderHtml } from '../report/html/index.ts'
export { type Judged, judge, thresholdsOf } from '../report/judge.ts'
export { loadJunit } from '../report/load-junit.ts'
export { type KeyResults, type LatencyMs, type PlatformResults, type RunResults, resultsOf } from '../report/results.ts'
export { resultsJsonSchema } from '../report/results-schema.ts'
export { type LoadResults, type Results, resultsSchema } from '../report/schema.ts'
export { renderResults } from '../report/table.ts'
export { type FleetPlatform, fleetPlatforms } from '../scenario/devices.ts'
export { InputError } from '../scenario/input-error.ts'
export { type JsonSchema, scenarioJsonSchema } from '../scenario/json-schema.ts'
export { type KeyRow, keyRows } from '../scenario/key-rows.ts'
export { loadScenario, parseScenario } from '../scenario/load.ts'
export { type Population, populationOf } from '../scenario/population.ts'
export type { ScenarioDocument, Seed } from '../scenario/schema.ts'
export { latencyStats, metricRows, parseThreshold, type Threshold } from '../scenario/threshold.ts'
export type { IssuedCertificate } from './certificates.ts'
export type { DeviceSpec, DeviceSurroundings } from './device.ts'
export { type DeviceStorageOptions, memoryDeviceStorage } from './device-storage.ts'
export { type EmbeddedLab, type LabOrders, startEmbeddedLab } from './embedded-lab.ts'
export { type FaultOptions, faultyTransport, type InjectedFault, injectedFaults } from './faults.ts'
export { type FleetState, openFleetState } from './fleet-state.ts'
export { folderName } from './folder-name.ts'
export type { FleetKeyStorage } from './key-storage.ts'
export type { LoadSource, SourceEnd, SourcePorts } from './load-run.ts'
export type { DeviceFailure, DeviceOutcome, FleetOutcome, ProfileOutcome } from './outcome.ts'
export { openOutput, type RunOutput } from './output.ts'
export type { Admission, DeviceService, DeviceStorage, FleetTarget, PushEvents } from './ports.ts'
export { type CarryEnd, type CarryOptions, carryShard } from './queue/carry.ts'
export { type FollowEnd, type Follower, type Following, followRun } from './queue/follow.ts'
export type { KeptDevice } from './queue/keeping.ts'
export { type DecidingFacts, type ManifestFacts, runManifestOf } from './queue/manifest.ts'
export { type MemoryQueue, type MemoryQueueOptions, memoryQueue } from './queue/memory-queue.ts'
export { openRedisQueue, type RedisQueueSettings } from './queue/redis/open-redis-queue.ts'
export {
  LeaseLost,
  type MergeLease,
  type OwnOrders,
  type RunManifest,
  type RunStatus,
  type RunSubmission,
  type ShardChange,
  type ShardLease,
  type ShardQueue,
  type ShardRecord,
  type ShardState,
  type ShardStatus,
  type SharedOrders,
  type StepCounts,
  type WorkerFacts,
} from './queue/shard-queue.ts'
export { type WorkEnd, type Working, workerFacts, workOff } from './queue/work.ts'
export { type FleetOptions, runFleet } from './run.ts'
export type { DeviceNews, ShardKeys, ShardNews, ShardOrders, ShardPorts, Taken } from './shard.ts'
export { type BegunRun, beginFleetRun } from './state-folder.ts'
export type { FleetRun } from './state-manifest.ts'
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
