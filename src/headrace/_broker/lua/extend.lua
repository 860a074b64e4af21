-- extend.lua: extend the leases of running tasks of one queue.
-- KEYS[1]  asynq:{q}:lease
-- ARGV     now or "", the lease's seconds, prefix of the tasks' keys, then id, token: two a task
-- Returns  one integer a task: 1 extended, 2 extended, and somebody asked to cancel it,
--          -1 lost to another attempt
-- Checks everything before it writes; an error leaves the key space as it was. A lease never
-- moves back.
--@include now
--@include lease
local lease, prefix = KEYS[1], ARGV[3]
local expiry = lease_end(now_or(ARGV[1]), tonumber(ARGV[2]))
local replies, ids, held = judge(lease, prefix, 4, 2, '', false)
if #ids == 0 then
  return replies
end

local ends = redis.call('ZMSCORE', lease, unpack(ids))
-- Removes nothing (no ID is blank), but opens the way for what follows when Redis is out of
-- memory: healthy work must not lose its lease just when the queue has to drain.
redis.call('ZREM', lease, '')
for n, id in ipairs(ids) do
  local key = prefix .. id
  if redis.call('HGET', key, 'hr:cancel') == ARGV[held[n] + 1] then
    replies[(held[n] - 4) / 2 + 1] = 2
  end
  if not ends[n] or tonumber(ends[n]) < tonumber(expiry) then
    redis.call('ZADD', lease, expiry, id)
    redis.call('HSET', key, 'hr:lease', expiry)
  end
end
return replies
