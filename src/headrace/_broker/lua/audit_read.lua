-- audit_read.lua: read tasks of one queue.
-- KEYS[1]  asynq:{q}:pending, for the slot
-- ARGV     prefix of the tasks' keys, how many bytes to return at the most, then the IDs
-- Returns  what is at the key, msg or "", state or "": three a task. "hash", "none" or what else
--          Redis calls it. After so many bytes it ends, but not before the first task.
-- Writes nothing.
local replies, size = {}, 0
for i = 3, #ARGV do
  local key = ARGV[1] .. ARGV[i]
  local kind = redis.call('TYPE', key).ok
  local held = kind == 'hash' and redis.call('HMGET', key, 'msg', 'state') or {}
  local msg = held[1] or ''
  size = size + #msg
  if i > 3 and size > tonumber(ARGV[2]) then
    break
  end
  replies[#replies + 1] = kind
  replies[#replies + 1] = msg
  replies[#replies + 1] = held[2] or ''
end
return replies
