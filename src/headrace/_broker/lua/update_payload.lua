-- update_payload.lua: give a scheduled task another payload, and the lock that goes with it.
-- KEYS[1]  asynq:{q}:t:<id>
-- ARGV     id, its msg as it was read, the new msg, its lock key as it was read or "", the new
--          lock key or ""
-- Returns  {"done"}, {"changed"} if the task is not as it was read, {"gone"}, {"state", state} if
--          it is not scheduled, or {"duplicate", holder} if another task holds the new lock
-- Checks everything before it writes; an error leaves the key space as it was.
local key, id, old_lock, new_lock = KEYS[1], ARGV[1], ARGV[4], ARGV[5]
local held = redis.call('HMGET', key, 'msg', 'state', 'unique_key')
if not held[1] then
  return {'gone'}
end
if held[2] ~= 'scheduled' then
  return {'state', held[2] or 'in no state'}
end
if held[1] ~= ARGV[2] or (held[3] or '') ~= old_lock then
  return {'changed'}
end
local moves = old_lock ~= new_lock
local is_holder = moves and redis.call('GET', old_lock) == id
if is_holder then
  local holder = redis.call('GET', new_lock)
  if holder and holder ~= id then
    return {'duplicate', holder}
  end
end

if is_holder then
  local ttl = redis.call('PTTL', old_lock)
  redis.call('DEL', old_lock)
  if ttl > 0 then
    redis.call('SET', new_lock, id, 'PX', ttl)
  end
end
redis.call('HSET', key, 'msg', ARGV[3])
if moves then
  redis.call('HSET', key, 'unique_key', new_lock)
end
return {'done'}
