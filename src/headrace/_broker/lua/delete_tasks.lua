-- delete_tasks.lua: delete the next tasks of one container of a queue.
-- KEYS[1]  the container: pending (list), or scheduled, retry, archived, completed, a group or an
--          aggregation set (sorted sets)
-- ARGV     how many at the most, prefix of the tasks' keys, the state that its tasks have
-- Returns  {how many entries were taken out, how many are left}
-- A task that has another state keeps its hash: the entry was a leftover.
-- Checks everything before it writes; an error leaves the key space as it was.
--@include lock
local container, limit, prefix = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local is_list = ARGV[3] == 'pending'
local ids
if is_list then
  ids = redis.call('LRANGE', container, -limit, -1)
else
  ids = redis.call('ZRANGE', container, 0, limit - 1)
end
local held = {}
for n, id in ipairs(ids) do
  held[n] = redis.pcall('HMGET', prefix .. id, 'state', 'unique_key')
end

if #ids > 0 then
  if is_list then
    redis.call('RPOP', container, #ids)
  else
    redis.call('ZREM', container, unpack(ids))
  end
end
for n, id in ipairs(ids) do
  if not held[n].err and held[n][1] == ARGV[3] then
    redis.call('UNLINK', prefix .. id)
    free_lock(held[n][2], id)
  end
end
return {#ids, redis.call(is_list and 'LLEN' or 'ZCARD', container)}
