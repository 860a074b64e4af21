-- A lease of ours ends at a fractional second, a Go server's at a whole one. That tells whose
-- attempt holds a task: Go servers leave the field hr:attempt of an earlier attempt standing.
local function lease_end(now, duration)
  local expiry = now + duration
  if expiry == math.floor(expiry) then
    expiry = expiry + 0.000001
  end
  return precise(expiry)
end

local function is_ours(score)
  return tonumber(score) % 1 ~= 0
end

-- What the attempt `token` may do with a task:
--    1  it holds the task
--    0  an earlier try of this transition was applied, and only its answer was lost
--   -1  it lost the task; nothing may be written
-- `target` is the state that the transition leads to, '' if it deletes the task.
local function standing(lease_key, task_key, id, token, target, is_repeat)
  local held = redis.pcall('HMGET', task_key, 'hr:attempt', 'state')
  if held.err then
    return -1
  end
  if not held[2] then
    return (is_repeat and target == '') and 0 or -1
  end
  if held[1] ~= token then
    return -1
  end
  if held[2] == 'active' then
    local score = redis.call('ZSCORE', lease_key, id)
    return (score and not is_ours(score)) and -1 or 1
  end
  return (is_repeat and held[2] == target) and 0 or -1
end

-- The first write of every transition out of active. These two commands are allowed when Redis
-- is out of memory, and after a script's first write so is everything else: a full Redis
-- can still be drained.
local function release(active_key, lease_key, id)
  redis.call('LREM', active_key, -1, id)
  redis.call('ZREM', lease_key, id)
end
