-- recover.lua: take tasks of one queue from attempts whose lease has ended.
-- KEYS[1]  asynq:{q}:lease
-- KEYS[2]  asynq:{q}:active
-- KEYS[3]  asynq:{q}:pending
-- KEYS[4]  asynq:{q}:archived
-- KEYS[5]  asynq:{q}:processed
-- KEYS[6]  asynq:{q}:failed
-- ARGV     now or "", how many at the most, prefix of the tasks' keys, crashes at which a task
--          is archived (0: never), bytes to append to such a task's msg
-- Returns  {{IDs made pending}, {IDs archived}, {IDs that were dropped}}
-- Looks at each lease's end as it moves the task, so a lease extended meanwhile is safe.
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include lease
--@include lock
--@include count
local lease, active, pending, archived, prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[3]
redis.call('LLEN', active)
redis.call('LLEN', pending)
redis.call('ZCARD', archived)
local now, limit, max_crashes = now_or(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])

-- A Go server writes the lease's end by its own clock; it gets the 30 s that Go itself allows.
-- Such leases may stand before ours, so some more are looked at than are taken.
local ended = redis.call('ZRANGEBYSCORE', lease, '-inf', precise(now), 'WITHSCORES',
  'LIMIT', 0, limit * 3)
local ids, tasks = {}, {}
for i = 1, #ended, 2 do
  local id, expiry = ended[i], ended[i + 1]
  local held = redis.pcall('HMGET', prefix .. id,
    'msg', 'state', 'hr:crashes', 'unique_key', 'hr:attempt', 'hr:lease')
  local is_ours = not held.err and held[5] and same_lease(expiry, held[6])
  if #ids < limit and (is_ours or tonumber(expiry) + 30 <= now) then
    ids[#ids + 1] = id
    tasks[#tasks + 1] = held
  end
end

local requeued, poisoned, dropped = {}, {}, {}
local since = nanoseconds(now)
release(active, lease, ids)
-- From the last to the first: the one that has waited longest comes to the very front.
for n = #ids, 1, -1 do
  local id, held = ids[n], tasks[n]
  local key = prefix .. id
  if held.err or not held[1] or held[2] ~= 'active' then
    dropped[#dropped + 1] = id
  else
    local crashes = (tonumber(held[3] or 0) or 0) + 1
    redis.call('HDEL', key, 'hr:attempt', 'hr:lease')
    if max_crashes > 0 and crashes >= max_crashes then
      redis.call('HSET', key, 'msg', held[1] .. ARGV[5], 'state', 'archived', 'hr:crashes', crashes)
      redis.call('ZADD', archived, math.floor(now), id)
      free_lock(held[4], id)
      poisoned[#poisoned + 1] = id
    else
      redis.call('HSET', key, 'state', 'pending', 'pending_since', since, 'hr:crashes', crashes)
      redis.call('RPUSH', pending, id)
      requeued[#requeued + 1] = id
    end
  end
end
count(KEYS[5], now, #poisoned)
count(KEYS[6], now, #poisoned)
return {requeued, poisoned, dropped}
