-- acquire.lua: take one of the tokens of a semaphore, as asynq's x/rate does.
-- KEYS[1]  asynq:sema:<scope>
-- ARGV     now or "", how many tokens there are, the holder's ID, its deadline: whole Unix seconds
-- Returns  1 if the holder has a token now, else 0
-- Go frees a token in the second after its deadline. Who holds one keeps it, with the new
-- deadline: the task has come back from a worker that died.
-- Checks everything before it writes; an error leaves the key space as it was.
--@include now
local key, id = KEYS[1], ARGV[3]
local now = math.floor(now_or(ARGV[1]))
local held = redis.call('ZSCORE', key, id)
local alive = redis.call('ZCOUNT', key, now, '+inf')
redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. string.format('%.0f', now))
if alive >= tonumber(ARGV[2]) and not (held and tonumber(held) >= now) then
  return 0
end
redis.call('ZADD', key, ARGV[4], id)
return 1
