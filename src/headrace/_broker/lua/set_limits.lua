-- set_limits.lua: say how much of a queue may run, in place of what was said before.
-- KEYS[1]  headrace:{q}:limits
-- ARGV     field, value, field, value, …; nothing: no limits
-- Returns  nothing
-- DEL comes first: it is allowed when Redis is out of memory, and opens the way for the rest.
redis.call('DEL', KEYS[1])
if #ARGV > 0 then
  redis.call('HSET', KEYS[1], unpack(ARGV))
end
