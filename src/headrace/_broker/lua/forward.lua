-- forward.lua: make due tasks of one queue pending, or put them into their group.
-- KEYS[1]  asynq:{q}:scheduled
-- KEYS[2]  asynq:{q}:retry
-- KEYS[3]  asynq:{q}:pending
-- KEYS[4]  asynq:{q}:groups
-- ARGV     now or "", how many at the most, prefix of the tasks' keys, prefix of the groups' keys
-- Returns  {now, how many were moved, {IDs that were dropped: no task is behind them, or it runs}}
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
local pending, groups, prefix, group_prefix = KEYS[3], KEYS[4], ARGV[3], ARGV[4]
redis.call('LLEN', pending)
redis.call('SCARD', groups)
local now, room = now_or(ARGV[1]), tonumber(ARGV[2])

local due, dropped = {}, {}
for source = 1, 2 do
  if room > #due then
    local ids = redis.call('ZRANGEBYSCORE', KEYS[source], '-inf', precise(now),
      'LIMIT', 0, room - #due)
    for _, id in ipairs(ids) do
      local held = redis.pcall('HMGET', prefix .. id, 'msg', 'group', 'state')
      local group = not held.err and held[2] or ''
      if group ~= '' then
        redis.call('ZCARD', group_prefix .. group)
      end
      -- A task that runs already must not be started again.
      local is_ours = not held.err and held[1] and held[3] ~= 'active'
      due[#due + 1] = {KEYS[source], id, is_ours, group}
    end
  end
end

local since, ids = nanoseconds(now), {}
for _, item in ipairs(due) do
  local source, id, is_ours, group = item[1], item[2], item[3], item[4]
  redis.call('ZREM', source, id)
  if not is_ours then
    dropped[#dropped + 1] = id
  elseif group == '' then
    redis.call('HSET', prefix .. id, 'state', 'pending', 'pending_since', since)
    ids[#ids + 1] = id
  else
    redis.call('HSET', prefix .. id, 'state', 'aggregating')
    redis.call('ZADD', group_prefix .. group, math.floor(now), id)
    redis.call('SADD', groups, group)
  end
end
if #ids > 0 then
  redis.call('LPUSH', pending, unpack(ids))
end
return {precise(now), #due, dropped}
