-- request_cancel.lua: ask the worker that runs a task to cancel it, for its next heartbeat.
-- KEYS[1]  asynq:{q}:t:<id>
-- ARGV     none
-- Returns  1 asked, 0 the task is not running
-- The request names the attempt, so that it does not outlive it.
local held = redis.call('HMGET', KEYS[1], 'state', 'hr:attempt')
if held[1] ~= 'active' then
  return 0
end
redis.call('HDEL', KEYS[1], 'hr:cancel')  -- Allowed when Redis is out of memory; what follows, too.
redis.call('HSET', KEYS[1], 'hr:cancel', held[2] or '')
return 1
