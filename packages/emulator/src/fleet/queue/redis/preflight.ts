import { AgentError } from '@certfleet/agent-core'

/** Of BullMQ's advice. */
const leastVersion = [6, 2] as const

/** Whether a run can be put there: `ERR_UNSUPPORTED`, one line each, by what the server says of itself. Warns where a run does not outlast it. */
export function checkServer(info: ReadonlyMap<string, string>, shown: string, onWarning: (message: string) => void): void {
  const refuse = (why: string) => {
    throw new AgentError('ERR_UNSUPPORTED', `the Redis at ${shown} ${why}`)
  }
  const version = info.get('redis_version') ?? ''
  if (isOlder(version))
    refuse(`has version ${/^[\d.]{1,20}$/.test(version) ? version : 'unknown'}; ${leastVersion.join('.')} or later is needed`)
  if (info.get('redis_mode') === 'cluster') refuse('is a node of a cluster; a single one is needed')
  if (info.get('role') === 'slave') refuse('is a replica, which cannot be written; name the one that it follows')
  const policy = info.get('maxmemory_policy') ?? 'unknown'
  if (policy !== 'noeviction') refuse(`has maxmemory-policy "${policy}", by which parts of a run would vanish; set noeviction`)
  if (info.get('aof_enabled') !== '1') onWarning(`the Redis at ${shown} has "appendonly no": a run does not outlast a restart of it`)
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return !(major > leastVersion[0] || (major === leastVersion[0] && minor >= leastVersion[1]))
}
