-- reclaim.lua: put tasks of aggregation sets past their deadline back into their groups.
-- KEYS[1]  asynq:{q}:aggregation_sets
-- KEYS[2]  asynq:{q}:groups
-- ARGV     now or "", how many tasks at the most, prefix of the groups' keys
-- Returns  how many tasks went back
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
redis.call('SCARD', KEYS[2])
local now, room, moved = now_or(ARGV[1]), tonumber(ARGV[2]), 0
local overdue = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', precise(now), 'LIMIT', 0, 10)
local group_keys = {}
for n, set_key in ipairs(overdue) do
  redis.call('ZCARD', set_key)
  -- The key is the group's, a colon and the set's ID, which has no colon.
  group_keys[n] = string.match(set_key, '^(.+):[^:]*$') or set_key
  redis.call('ZCARD', group_keys[n])
end

for n, set_key in ipairs(overdue) do
  local members = redis.call('ZRANGE', set_key, 0, room - moved - 1, 'WITHSCORES')
  for i = 1, #members, 2 do
    redis.call('ZREM', set_key, members[i])
    redis.call('ZADD', group_keys[n], members[i + 1], members[i])
    moved = moved + 1
  end
  if #members > 0 then
    redis.call('SADD', KEYS[2], string.sub(group_keys[n], #ARGV[3] + 1))
  end
  if redis.call('EXISTS', set_key) == 0 then
    redis.call('ZREM', KEYS[1], set_key)
  end
  if moved >= room then
    break
  end
end
return moved
