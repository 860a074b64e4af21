-- Who holds a task: the attempt whose token its hash has in hr:attempt. A Go server that takes
-- the task over leaves that field standing, but writes a lease of its own: so the attempt holds
-- the task only while the lease ends at what the hash has in hr:lease. Both are whole seconds,
-- which Redis stores and compares several times faster than fractions.

-- As text: Redis would print a Lua number anew for each command that it is an argument of.
local function lease_end(now, duration)
  return string.format('%.0f', math.ceil(now + duration))
end

local function same_lease(score, ours)
  return score == ours or tonumber(score) == tonumber(ours)
end

-- What attempts may do with their tasks, one code each:
--    1  it holds the task
--    0  an earlier try of this transition was applied, and only its answer was lost
--   -1  it lost the task; nothing may be written
-- `target` is the state that the transition leads to, '' if it deletes the task.
local function standings(lease_key, prefix, ids, tokens, target, is_repeat)
  local codes = {}
  if #ids == 0 then
    return codes
  end
  local scores = redis.call('ZMSCORE', lease_key, unpack(ids))
  for n, id in ipairs(ids) do
    local held = redis.pcall('HMGET', prefix .. id, 'hr:attempt', 'state', 'hr:lease')
    local code = -1
    if held.err then
      code = -1
    elseif not held[2] then
      code = (is_repeat and target == '') and 0 or -1
    elseif held[1] == tokens[n] then
      if held[2] ~= 'active' then
        code = (is_repeat and held[2] == target) and 0 or -1
      elseif not scores[n] or same_lease(scores[n], held[3]) then
        code = 1
      end
    end
    codes[n] = code
  end
  return codes
end

-- The ends of attempts, as a script gets them: `width` arguments each, the first of which are
-- the task's ID and the attempt's token. Returns the codes of all, and of those that hold their
-- tasks the IDs and the positions of their arguments.
local function judge(lease_key, prefix, first, width, target, is_repeat)
  local ids, tokens, held_ids, held = {}, {}, {}, {}
  for i = first, #ARGV, width do
    ids[#ids + 1] = ARGV[i]
    tokens[#tokens + 1] = ARGV[i + 1]
  end
  local codes = standings(lease_key, prefix, ids, tokens, target, is_repeat)
  local seen = {}
  for n, code in ipairs(codes) do
    if code == 1 and not seen[ids[n]] then
      seen[ids[n]] = true
      held_ids[#held_ids + 1] = ids[n]
      held[#held + 1] = first + (n - 1) * width
    end
  end
  return codes, held_ids, held
end

-- The first write of every transition out of active. These two commands are allowed when Redis
-- is out of memory, and after a script's first write so is everything else: a full Redis
-- can still be drained.
-- New tasks are at the list's head. Of many running ones, those that end are mostly short ones
-- near its head, or the oldest, at its tail: a search from the wrong end would pass all others.
local function release(active_key, lease_key, ids)
  local is_long = redis.call('LLEN', active_key) > 1000
  for _, id in ipairs(ids) do
    local near_head = is_long and redis.call('LPOS', active_key, id, 'MAXLEN', 500)
    redis.call('LREM', active_key, near_head and 1 or -1, id)
  end
  if #ids > 0 then
    redis.call('ZREM', lease_key, unpack(ids))
  end
end
