-- extend.lua: extend the leases of running tasks of one queue.
-- KEYS[1]  asynq:{q}:lease
-- ARGV     now or "", the lease's seconds, prefix of the tasks' keys, then id, token: two a task
-- Returns  one integer a task: 1 extended, 2 extended, and somebody asked to cancel it,
--          -1 lost to another attempt
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
--@include lease
local lease, prefix = KEYS[1], ARGV[3]
local expiry = lease_end(now_or(ARGV[1]), tonumber(ARGV[2]))

local replies, leases = {}, {}
for i = 4, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  local code = standing(lease, prefix .. id, id, token, '', false)
  if code == 1 then
    leases[#leases + 1] = expiry
    leases[#leases + 1] = id
    if redis.call('HGET', prefix .. id, 'hr:cancel') == token then
      code = 2
    end
  end
  replies[#replies + 1] = code
end

if #leases > 0 then
  -- Removes nothing (no ID is blank), but opens the way for ZADD when Redis is out of memory:
  -- healthy work must not lose its lease just when the queue has to drain.
  redis.call('ZREM', lease, '')
  redis.call('ZADD', lease, 'GT', unpack(leases))
end
return replies
