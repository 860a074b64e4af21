-- audit_keys.lua: tell what some keys are.
-- KEYS     the keys
-- ARGV     none
-- Returns  type and seconds to live: two a key; -1: it stays, -2: there is none
-- Writes nothing.
local replies = {}
for _, key in ipairs(KEYS) do
  replies[#replies + 1] = redis.call('TYPE', key).ok
  replies[#replies + 1] = redis.call('TTL', key)
end
return replies
