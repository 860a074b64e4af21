-- swap_field.lua: change a field of a hash if nobody has changed it meanwhile.
-- KEYS[1]  the hash
-- ARGV     field, what it is known to hold, or "" for nothing, what to write, or "" to delete it
-- Returns  1 if it was changed, else 0
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
