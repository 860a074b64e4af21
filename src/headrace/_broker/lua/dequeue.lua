-- dequeue.lua: take pending tasks of one queue for one worker.
-- KEYS[1]  asynq:{q}:pending
-- KEYS[2]  asynq:{q}:active
-- KEYS[3]  asynq:{q}:lease
-- KEYS[4]  asynq:{q}:paused
-- ARGV     now or "", how many at the most, the attempt's token, the lease's seconds, prefix of
--          the tasks' keys
-- Returns  {now, 1 if paused else 0, {IDs that were dropped: no task is behind them},
--          {id, msg, id, msg, …}}
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include lease
local pending, active, lease, token, prefix = KEYS[1], KEYS[2], KEYS[3], ARGV[3], ARGV[5]
local now = now_or(ARGV[1])
if redis.call('EXISTS', KEYS[4]) == 1 then
  return {precise(now), 1, {}, {}}
end
redis.call('LLEN', active)
redis.call('ZCARD', lease)

local waiting = redis.call('LRANGE', pending, -tonumber(ARGV[2]), -1)
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
if #waiting == 0 then
  return {precise(now), 0, dropped, taken}
end

-- RPOP comes first: it is allowed when Redis is out of memory, and opens the way for the rest.
redis.call('RPOP', pending, #waiting)
if #ids > 0 then
  local expiry, leases = lease_end(now, tonumber(ARGV[4])), {}
  for _, id in ipairs(ids) do
    leases[#leases + 1] = expiry
    leases[#leases + 1] = id
    redis.call('HSET', prefix .. id, 'state', 'active', 'hr:attempt', token,
      'hr:lease', expiry)
    redis.call('HDEL', prefix .. id, 'pending_since')
  end
  redis.call('LPUSH', active, unpack(ids))
  redis.call('ZADD', lease, unpack(leases))
end
return {precise(now), 0, dropped, taken}
