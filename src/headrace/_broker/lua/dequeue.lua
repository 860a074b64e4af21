-- dequeue.lua: take pending tasks of one queue for one worker.
-- KEYS[1]  asynq:{q}:pending
-- KEYS[2]  asynq:{q}:active
-- KEYS[3]  asynq:{q}:lease
-- KEYS[4]  asynq:{q}:paused
-- KEYS[5]  headrace:{q}:limits
-- KEYS[6]  headrace:{q}:starts
-- ARGV     now or "", how many at the most, the attempt's token, the lease's seconds, prefix of
--          the tasks' keys
-- Returns  {now, 1 if paused else 0, {IDs that were dropped: no task is behind them},
--          {id, msg, id, msg, …}, why there may be more: "" if no limit holds any back, else
--          the seconds until one may give more ("inf": once a running task has ended)}
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include lease
--@include limits
-- A sorted set that begins with short members is a list to Redis, which walks it for each of them
-- until it has 128. One that begins with a long member is a tree from the first: with a hundred
-- running tasks, a fifth of the cost.
local LONG = string.rep('-', 65)
local pending, active, lease, token, prefix = KEYS[1], KEYS[2], KEYS[3], ARGV[3], ARGV[5]
local now = now_or(ARGV[1])
if redis.call('EXISTS', KEYS[4]) == 1 then
  return {precise(now), 1, {}, {}, ''}
end
local running, size, limited = redis.call('LLEN', active), tonumber(ARGV[2]), false
redis.call('ZCARD', lease)
local limits = limits_of(KEYS[5], KEYS[6], now)
if limits and allowed(limits, running) < size then
  size = allowed(limits, running)
  limited = redis.call('LLEN', pending) > size
end

-- The range from -0 would be all of them.
local waiting = size > 0 and redis.call('LRANGE', pending, -size, -1) or {}
local dropped, taken, ids, seen = {}, {}, {}, {}
for i = #waiting, 1, -1 do
  local id = waiting[i]
  local held = redis.pcall('HMGET', prefix .. id, 'msg', 'state')
  -- A second entry of a task that runs already must not start it again.
  local runs = seen[id]
    or (not held.err and held[2] == 'active' and redis.call('ZSCORE', lease, id))
  if held.err or not held[1] or runs then
    dropped[#dropped + 1] = id
  else
    seen[id] = true
    ids[#ids + 1] = id
    taken[#taken + 1] = id
    taken[#taken + 1] = held[1]
  end
end
local wait = limited and retry_in(limits, running, #ids) or ''
if #waiting == 0 then
  return {precise(now), 0, dropped, taken, wait}
end

-- RPOP comes first: it is allowed when Redis is out of memory, and opens the way for the rest.
redis.call('RPOP', pending, #waiting)
if #ids > 0 then
  local expiry, leases = lease_end(now, tonumber(ARGV[4])), {}
  local opens_tree = #ids > 16 and redis.call('ZCARD', lease) == 0
  if opens_tree then
    leases = {expiry, LONG}
  end
  for _, id in ipairs(ids) do
    leases[#leases + 1] = expiry
    leases[#leases + 1] = id
    redis.call('HSET', prefix .. id, 'state', 'active', 'hr:attempt', token,
      'hr:lease', expiry)
    redis.call('HDEL', prefix .. id, 'pending_since')
  end
  redis.call('LPUSH', active, unpack(ids))
  redis.call('ZADD', lease, unpack(leases))
  if opens_tree then
    redis.call('ZREM', lease, LONG)
  end
  if limits then
    record_starts(limits, #ids)
  end
end
return {precise(now), 0, dropped, taken, wait}
