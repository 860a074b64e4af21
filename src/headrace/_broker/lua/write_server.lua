-- write_server.lua: publish a server's state and the tasks that it runs.
-- KEYS[1]  asynq:servers:{<host>:<pid>:<server id>}
-- KEYS[2]  asynq:workers:{<host>:<pid>:<server id>}
-- ARGV     now or "", seconds that it is valid for, ServerInfo, then task id, WorkerInfo: two a
--          task
-- Returns  the Unix time at which both expire
--@include now
local ttl = tonumber(ARGV[2])
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], ARGV[3], 'EX', ttl)
for i = 4, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[2], ttl)
return math.floor(now_or(ARGV[1])) + ttl
