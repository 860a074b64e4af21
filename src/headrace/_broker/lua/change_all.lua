-- change_all.lua: run, archive or delete the next tasks of one container of a queue.
-- KEYS[1]  the container: pending (list), or scheduled, retry, archived, completed, a group or an
--          aggregation set (sorted sets)
-- KEYS[2]  asynq:{q}:pending
-- KEYS[3]  asynq:{q}:archived
-- KEYS[4]  asynq:{q}:groups
-- KEYS[5]  asynq:{q}:aggregation_sets
-- ARGV     now or "", "run", "archive" or "delete", how many at the most, prefix of the tasks'
--          keys, the state that its tasks have, its name if it is a group or ""
-- Returns  {how many entries were taken out, how many tasks were changed, how many entries are
--          left}
-- A task that has another state, or none, stays as it is: the entry was a leftover.
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include lock
--@include lock_in
--@include change
local container, limit, prefix, state = KEYS[1], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local queue = {pending = KEYS[2], archived = KEYS[3]}
local is_list = state == 'pending'
redis.call('LLEN', queue.pending)
redis.call('ZCARD', queue.archived)
redis.call('SCARD', KEYS[4])
redis.call('ZCARD', KEYS[5])
local ids = {}
if is_list then
  -- The next one to run is the last of the list.
  for n, id in ipairs(redis.call('LRANGE', container, -limit, -1)) do
    table.insert(ids, 1, id)
  end
else
  ids = redis.call('ZRANGE', container, 0, limit - 1)
end
local held = {}
for n, id in ipairs(ids) do
  held[n] = redis.pcall('HMGET', prefix .. id, 'state', 'unique_key')
  if state == 'aggregating' and not held[n].err and not held[n][2] then
    held[n][2] = lock_in(redis.call('HGET', prefix .. id, 'msg') or '')
  end
end

if #ids > 0 then
  if is_list then
    redis.call('RPOP', container, #ids)
  else
    redis.call('ZREM', container, unpack(ids))
  end
end
local now, changed, seen = now_or(ARGV[1]), 0, {}
for n, id in ipairs(ids) do
  if not held[n].err and held[n][1] == state and not seen[id] then
    seen[id] = true
    change[ARGV[2]](queue, now, prefix .. id, id, held[n])
    changed = changed + 1
  end
end
local left = redis.call(is_list and 'LLEN' or 'ZCARD', container)
if left == 0 and state == 'aggregating' then
  redis.call('SREM', KEYS[4], ARGV[6])
  redis.call('ZREM', KEYS[5], container)
end
return {#ids, changed, left}
