/** What each platform does, shown by checks that any test runner or a loop can run, against any SCEP server. */
export { type Check, type CheckOnSystem, onEachSystem, type SystemUnderTest, systemsUnderTest } from './check.ts'
export { checks } from './checks/index.ts'
export type { CheckContext, DeviceWishes, MakeKeys, Sabotage } from './context.ts'
export type { ConformanceDevice, Exchange } from './device.ts'
export { type CheckResult, type RunOptions, runCheck, runChecks } from './run.ts'
export * from './server/index.ts'
export { checkSources } from './sources.ts'
export type * from './target.ts'
