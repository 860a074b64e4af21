-- audit_locks.lua: find, and delete, uniqueness locks of one queue that nobody needs.
-- KEYS     the locks
-- ARGV     "1" to put right what is found, prefix of the tasks' keys, seconds that a lock gets
--          which would stay for ever
-- Returns  key, invariant, what is wrong, how it is put right: four a finding
--@include lock_in
local findings, repairs = {}, ARGV[1] == '1'
local function report(...)
  for _, item in ipairs({...}) do
    findings[#findings + 1] = item
  end
end
for _, key in ipairs(KEYS) do
  local holder = redis.pcall('GET', key)
  if type(holder) == 'string' then
    local held = redis.pcall('HMGET', ARGV[2] .. holder, 'state', 'unique_key')
    if not held.err and not held[2] then
      -- asynq's client names a group's locks in the messages alone.
      held[2] = lock_in(redis.call('HGET', ARGV[2] .. holder, 'msg') or '')
    end
    local problem
    if held.err or not held[1] then
      problem = 'is held by "' .. holder .. '", which is gone'
    elseif held[1] == 'archived' or held[1] == 'completed' then
      problem = 'is held by "' .. holder .. '", which is ' .. held[1]
    elseif held[2] ~= key then
      problem = 'is held by "' .. holder .. '", whose lock is another'
    end
    if problem then
      report(key, 8, problem, 'deleted')
      if repairs then
        redis.call('DEL', key)
      end
    elseif redis.call('TTL', key) == -1 then
      report(key, 24, 'is a lock that does not expire', 'given an expiry')
      if repairs then
        redis.call('EXPIRE', key, ARGV[3])
      end
    end
  end
end
return findings
