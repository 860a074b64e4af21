-- trim_archive.lua: delete archived tasks of one queue beyond the archive's bounds.
-- KEYS[1]  asynq:{q}:archived
-- ARGV     now or "", how many at the most, prefix of the tasks' keys, size of the archive, age
--          in seconds at which a task is deleted
-- Returns  how many entries were removed
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include lock
local prefix, limit = ARGV[3], tonumber(ARGV[2])
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf',
  precise(now_or(ARGV[1]) - tonumber(ARGV[5])), 'LIMIT', 0, limit)
local excess = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[4])
if excess > #ids and limit > #ids then
  -- The oldest come first, those past their age among them.
  ids = redis.call('ZRANGE', KEYS[1], 0, math.min(excess, limit) - 1)
end

local held = {}
for n, id in ipairs(ids) do
  held[n] = redis.pcall('HMGET', prefix .. id, 'state', 'unique_key')
end
for n, id in ipairs(ids) do
  redis.call('ZREM', KEYS[1], id)
  if not held[n].err and held[n][1] == 'archived' then
    redis.call('UNLINK', prefix .. id)
    free_lock(held[n][2], id)
  end
end
return #ids
