-- audit_walk.lua: look at a page of one container of a queue.
-- KEYS[1]  the container: a list or a sorted set
-- KEYS[2]  asynq:{q}:lease
-- ARGV     how many entries to pass over, "left" or "right" for the end to begin at, prefix of
--          the tasks' keys, the state that its tasks should have
-- Returns  {IDs of the page, IDs among them with which something may be wrong}
-- Writes nothing.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'list' and kind ~= 'zset' then
  return {{}, {}}
end
local skip, state = tonumber(ARGV[1]), ARGV[4]
local first, last = skip, skip + 99
if ARGV[2] == 'right' then
  first, last = -skip - 100, -skip - 1
end
local page = redis.call(kind == 'list' and 'LRANGE' or 'ZRANGE', KEYS[1], first, last)
local odd = {}
for _, id in ipairs(page) do
  local held = redis.pcall('HMGET', ARGV[3] .. id, 'state', 'pending_since')
  if held.err or held[1] ~= state or (state == 'pending') ~= (held[2] and true or false)
    or (state == 'active' and not redis.pcall('ZSCORE', KEYS[2], id)) then
    odd[#odd + 1] = id
  end
end
return {page, odd}
