-- release_token.lua: give a token of a semaphore back.
-- KEYS[1]  asynq:sema:<scope>
-- ARGV     the holder's ID, the deadline that it was taken with, or "" for any
-- Returns  1 if it was held, else 0
-- With another deadline, it belongs to a later attempt at the task, which must keep it.
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or (ARGV[2] ~= '' and tonumber(score) ~= tonumber(ARGV[2])) then
  return 0
end
return redis.call('ZREM', KEYS[1], ARGV[1])
