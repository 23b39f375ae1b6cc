/**
 * Each one step of Redis: all of it or nothing. The epoch of a shard decides who has it; BullMQ's lists and locks, who may take it.
 * Keys are made of others within them, which a cluster would not have.
 */
export interface Script {
  readonly keys: number
  readonly lua: string
}

/**
 * The lock is made ours again where it had expired and nobody came. A job that is in neither list was finished, or is not there; then,
 * and where another has the lock, false.
 */
const reclaim = `
local function reclaim(wait, active, stalled, lock, job, token, lease)
  local held = redis.call('GET', lock)
  if held and held ~= token then return false end
  if not held then
    if redis.call('LREM', wait, 0, job) + redis.call('LREM', active, 0, job) == 0 then return false end
    redis.call('LPUSH', active, job)
  end
  redis.call('SET', lock, token, 'PX', lease)
  redis.call('SREM', stalled, job)
  return true
end
`

const time = `
local function now()
  local at = redis.call('TIME')
  return at[1] .. string.format('%06d', at[2])
end
`

export const scripts = {
  /** run, runs | id, manifest, shared, proof → 1; 0: it is there, with all of its jobs. */
  register: {
    keys: 2,
    lua: `${time}
if redis.call('HEXISTS', KEYS[1], 'submitted') == 1 then return 0 end
redis.call('ZADD', KEYS[2], 'NX', now(), ARGV[1])
redis.call('HSET', KEYS[1], 'manifest', ARGV[2], 'shared', ARGV[3], 'proof', ARGV[4], 'resumes', 0)
return 1`,
  },
  /** run, shard, orders, records, devices, workers, lock | token, worker, facts, number → what it is, and what there is of it. The same for the same token. */
  take: {
    keys: 7,
    lua: `
if redis.call('GET', KEYS[7]) ~= ARGV[1] then return {'lost'} end
local run = redis.call('HMGET', KEYS[1], 'manifest', 'stopped', 'resumes', 'forgotten')
if not run[1] or run[4] then return {'forgotten'} end
local state = redis.call('HGET', KEYS[2], 'state')
if state == 'through' then return {'through'} end
if run[2] or state == 'parked' then
  redis.call('HSET', KEYS[2], 'state', 'parked')
  return {'parked', run[3]}
end
if redis.call('HGET', KEYS[2], 'token') ~= ARGV[1] then
  redis.call('HINCRBY', KEYS[2], 'epoch', 1)
  redis.call('HSET', KEYS[2], 'token', ARGV[1], 'state', 'active', 'worker', ARGV[2], 'saved', 0)
end
local epoch = tonumber(redis.call('HGET', KEYS[2], 'epoch'))
redis.call('HSET', KEYS[6], ARGV[2], ARGV[3])
return {'taken', epoch, redis.call('HGET', KEYS[3], ARGV[4]), redis.call('LRANGE', KEYS[4], 0, -1), redis.call('HGETALL', KEYS[5])}`,
  },
  /**
   * shard, records, devices | epoch, number of the save, how many records, the records, then index and device in turn ('': none)
   * → 1; 0: another has it. One that comes a second time, as its answer was lost, changes nothing; where one is missing, Redis lost it, and
   * only who begins with what is there counts right.
   */
  save: {
    keys: 3,
    lua: `
local held = redis.call('HMGET', KEYS[1], 'epoch', 'state', 'saved')
if held[1] ~= ARGV[1] or held[2] ~= 'active' then return 0 end
local missing = tonumber(ARGV[2]) - tonumber(held[3]) - 1
if missing < 0 then return 1 end
if missing > 0 then return 0 end
redis.call('HSET', KEYS[1], 'saved', ARGV[2])
local records = tonumber(ARGV[3])
for i = 4, 3 + records do redis.call('RPUSH', KEYS[2], ARGV[i]) end
for i = 4 + records, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[3], ARGV[i]) else redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
end
return 1`,
  },
  /** run, shard, wait, active, stalled, lock | epoch, job, token, lease → 0: another has it; 1; 2: and the run is to stop. */
  hold: {
    keys: 6,
    lua: `${reclaim}
local held = redis.call('HMGET', KEYS[2], 'epoch', 'state')
if held[1] ~= ARGV[1] or held[2] ~= 'active' then return 0 end
if not reclaim(KEYS[3], KEYS[4], KEYS[5], KEYS[6], ARGV[2], ARGV[3], ARGV[4]) then return 0 end
return redis.call('HEXISTS', KEYS[1], 'stopped') + 1`,
  },
  /**
   * run, shard, wait, active, stalled, lock | epoch, job, token, lease, state, whether it is for a stop → nothing: another has it; else what
   * the state is now, whether its job is ours, and how often the run was resumed. What is parked for a stop that is over waits. Said a second
   * time, as its answer was lost, it finds its own state, or what a resume made of it.
   */
  settle: {
    keys: 6,
    lua: `${reclaim}
local held = redis.call('HMGET', KEYS[2], 'epoch', 'state')
local state = ARGV[5]
if held[1] ~= ARGV[1] or (held[2] == 'through' and state ~= 'through') then return {} end
if ARGV[6] == '1' and redis.call('HEXISTS', KEYS[1], 'stopped') == 0 then state = 'waiting' end
redis.call('HSET', KEYS[2], 'state', state)
local isOurs = reclaim(KEYS[3], KEYS[4], KEYS[5], KEYS[6], ARGV[2], ARGV[3], ARGV[4])
return {state, isOurs and 1 or 0, redis.call('HGET', KEYS[1], 'resumes')}`,
  },
  /** run, shard | epoch, shards that must have come here → 0: another has it; else when the run began, or nothing. */
  begin: {
    keys: 2,
    lua: `${time}
if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[1] then return 0 end
if redis.call('HSETNX', KEYS[2], 'ready', 1) == 1 then redis.call('HINCRBY', KEYS[1], 'ready', 1) end
if tonumber(redis.call('HGET', KEYS[1], 'ready')) < tonumber(ARGV[2]) then return false end
redis.call('HSETNX', KEYS[1], 'startedAt', now())
return redis.call('HGET', KEYS[1], 'startedAt')`,
  },
  /** run, workers | shards → what of the run, its workers, and four of each shard: state, epoch, worker, locked. Shard and lock follow as keys. */
  status: {
    keys: 2,
    lua: `
local shards = {}
for i = 1, #ARGV, 2 do
  local shard = redis.call('HMGET', ARGV[i], 'state', 'epoch', 'worker')
  shard[4] = redis.call('EXISTS', ARGV[i + 1])
  shards[#shards + 1] = shard
end
return {redis.call('HMGET', KEYS[1], 'stopped', 'startedAt'), redis.call('HVALS', KEYS[2]), shards}`,
  },
  /** run */
  stop: { keys: 1, lua: `if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'stopped', 1) end` },
  /** run | shards, as keys → the numbers of those that wait, whose jobs may be parked: also by a resume whose answer was lost. */
  resume: {
    keys: 1,
    lua: `
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
redis.call('HDEL', KEYS[1], 'stopped')
redis.call('HINCRBY', KEYS[1], 'resumes', 1)
local waiting = {}
for i, shard in ipairs(ARGV) do
  local state = redis.call('HGET', shard, 'state')
  if state == 'parked' then redis.call('HSET', shard, 'state', 'waiting') end
  if state == 'parked' or state == 'waiting' then waiting[#waiting + 1] = i - 1 end
end
return waiting`,
  },
} as const satisfies Record<string, Script>

export type ScriptName = keyof typeof scripts
