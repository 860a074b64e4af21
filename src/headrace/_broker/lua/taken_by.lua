-- taken_by.lua: find what a dequeue took whose answer was lost.
-- KEYS[1]  asynq:{q}:active
-- ARGV     now or "", the attempt's token, first and last index of the list to look at, prefix
--          of the tasks' keys
-- Returns  {now, length of the list, {id, msg, id, msg, …}}
-- Writes nothing.
--@include now
local now, taken = now_or(ARGV[1]), {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], ARGV[3], ARGV[4])) do
  local held = redis.pcall('HMGET', ARGV[5] .. id, 'msg', 'hr:attempt', 'state')
  if not held.err and held[1] and held[2] == ARGV[2] and held[3] == 'active' then
    taken[#taken + 1] = id
    taken[#taken + 1] = held[1]
  end
end
return {precise(now), redis.call('LLEN', KEYS[1]), taken}
