-- write_scheduler.lua: publish the entries of a scheduler.
-- KEYS[1]  asynq:schedulers:{<host>:<pid>:<scheduler id>}
-- ARGV     now or "", seconds that they are valid for, "1" to add to those that are there, then
--          up to 100 times SchedulerEntry
-- Returns  Redis's time
--@include now
local now = now_or(ARGV[1])
if ARGV[3] ~= '1' then
  redis.call('DEL', KEYS[1])
end
if #ARGV > 3 then
  redis.call('RPUSH', KEYS[1], unpack(ARGV, 4))
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return precise(now)
