export { type AdminApi, type AdminApiOptions, adminApi } from './api.ts'
export { type MonitoringIndex, monitored } from './monitored.ts'
export { type AdminPolicies, type AdminPoliciesOptions, adminPolicies } from './policies.ts'
export type { AdminFiles } from './view.ts'
