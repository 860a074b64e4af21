-- expire_completed.lua: delete completed tasks of one queue whose retention has ended.
-- KEYS[1]  asynq:{q}:completed
-- ARGV     now or "", how many at the most, prefix of the tasks' keys
-- Returns  how many entries were removed
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
local prefix = ARGV[3]
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', precise(now_or(ARGV[1])),
  'LIMIT', 0, tonumber(ARGV[2]))
local keys = {}
for _, id in ipairs(ids) do
  local state = redis.pcall('HGET', prefix .. id, 'state')
  if state == 'completed' then
    keys[#keys + 1] = prefix .. id
  end
end
if #ids > 0 then
  redis.call('ZREM', KEYS[1], unpack(ids))
end
if #keys > 0 then
  redis.call('UNLINK', unpack(keys))
end
return #ids
