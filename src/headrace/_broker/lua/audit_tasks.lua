-- audit_tasks.lua: find, and put right, tasks of one queue that are not where they should be.
-- KEYS[1]  asynq:{q}:pending
-- KEYS[2]  asynq:{q}:active
-- KEYS[3]  asynq:{q}:lease
-- KEYS[4]  asynq:{q}:scheduled
-- KEYS[5]  asynq:{q}:retry
-- KEYS[6]  asynq:{q}:archived
-- KEYS[7]  asynq:{q}:completed
-- KEYS[8]  asynq:{q}:groups
-- KEYS[9]  asynq:{q}:aggregation_sets
-- KEYS[10] asynq:{q}:processed
-- KEYS[11] asynq:{q}:failed
-- ARGV     now or "", "1" to put right what is found, prefix of the tasks' keys, prefix of the
--          groups' keys, length up to which lists are searched or "" if this call has to be
--          sure, seconds of a lease, crashes at which a task is archived (0: never), bytes to
--          append to such a task's msg, then
--          id, a msg that is wrong or "", what is wrong with it or "", what to replace it
--          with or "", Unix second until which it is kept if it is completed, a group or an
--          aggregation set where it was seen or "": six a task
-- Returns  {{id, invariant, what is wrong, how it is put right: four a finding},
--          {IDs of which nothing is said before all containers have been looked at},
--          1 if that is because of a long list}
-- All is looked at in this very call, so nothing that is in motion is taken for damage. If a key
-- has a foreign type, nothing is looked at. Checks everything before it writes.
--@include now
--@include lease
--@include lock
--@include count
local pending, active, lease, archive_key, groups = KEYS[1], KEYS[2], KEYS[3], KEYS[6], KEYS[8]
local repairs, prefix, group_prefix = ARGV[2] == '1', ARGV[3], ARGV[4]
local kinds = {'list', 'list', 'zset', 'zset', 'zset', 'zset', 'zset', 'set', 'zset'}
for i, kind in ipairs(kinds) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= 'none' and found ~= kind then
    return {{}, {}, 0}
  end
end
local now, must_be_sure = now_or(ARGV[1]), ARGV[5] == ''
local search_limit = tonumber(ARGV[5]) or math.huge
local lengths = {[pending] = redis.call('LLEN', pending), [active] = redis.call('LLEN', active)}
local is_long = lengths[pending] > search_limit or lengths[active] > search_limit
-- The first one that holds a task is believed where the task's state names none of them.
local containers = {
  {'active', active}, {'pending', pending}, {'retry', KEYS[5]}, {'scheduled', KEYS[4]},
  {'archived', archive_key}, {'completed', KEYS[7]},
}
local sets, is_set = redis.call('ZRANGE', KEYS[9], 0, 99), {}
for _, set_key in ipairs(sets) do
  is_set[set_key] = true
end
local findings, unsure, archived_now = {}, {}, 0

local function report(id, invariant, problem, repair)
  for _, item in ipairs({id, invariant, problem, repair}) do
    findings[#findings + 1] = item
  end
end

local function holds(set_key, id)
  local score = redis.pcall('ZSCORE', set_key, id)
  return type(score) == 'string'
end

-- The groups and sets that hold a task, in few looks: those that it may well be in.
local function collections_of(id, state, group, where)
  local found, seen = {}, {}
  local function try(key)
    if key ~= '' and not seen[key] then
      seen[key] = true
      if holds(key, id) then
        found[#found + 1] = {state = 'aggregating', key = key, n = 1, is_set = is_set[key]}
      end
    end
  end
  for _, set_key in ipairs(sets) do
    try(set_key)
  end
  try(where)
  if group ~= '' then
    try(group_prefix .. group)
  end
  if #found == 0 and state == 'aggregating' and redis.call('SCARD', groups) <= 100 then
    for _, name in ipairs(redis.call('SMEMBERS', groups)) do
      try(group_prefix .. name)
    end
  end
  return found
end

local function places_of(id, state, group, where)
  local found = {}
  for _, container in ipairs(containers) do
    local name, key = container[1], container[2]
    if not lengths[key] then
      local score = redis.call('ZSCORE', key, id)
      if score then
        found[#found + 1] = {state = name, key = key, n = 1, score = score}
      end
    elseif lengths[key] <= search_limit then
      local positions = redis.call('LPOS', key, id, 'COUNT', 0)
      if #positions > 0 then
        found[#found + 1] = {state = name, key = key, n = #positions, is_list = true}
      end
    end
  end
  for _, place in ipairs(collections_of(id, state, group, where)) do
    found[#found + 1] = place
  end
  return found
end

local function name_of(place)
  if place.state == 'aggregating' then
    return string.sub(place.key, #group_prefix - 1)
  end
  return place.state
end

local function take_out(place, id)
  if place.is_list then
    redis.call('LREM', place.key, 0, id)
  else
    redis.call('ZREM', place.key, id)
  end
end

local function archive(id, held, places, reason)
  redis.call('ZREM', lease, id)
  for _, place in ipairs(places) do
    take_out(place, id)
  end
  local key = prefix .. id
  redis.call('HSETNX', key, 'msg', '')
  redis.call('HDEL', key, 'pending_since', 'hr:attempt', 'hr:lease')
  redis.call('HSET', key, 'state', 'archived', 'hr:error', reason)
  redis.call('ZADD', archive_key, math.floor(now), id)
  free_lock(held[3], id)
  archived_now = archived_now + 1
end

local function make_pending(id)
  redis.call('HSET', prefix .. id, 'state', 'pending', 'pending_since', nanoseconds(now))
  redis.call('RPUSH', pending, id)
end

-- A task that some worker began, and of which nothing but the hash is left.
local function recover(id, held)
  local key, max_crashes = prefix .. id, tonumber(ARGV[7])
  local crashes = (tonumber(held[6] or 0) or 0) + 1
  redis.call('HSET', key, 'hr:crashes', crashes)
  if max_crashes > 0 and crashes >= max_crashes then
    redis.call('HSET', key, 'msg', (held[1] or '') .. ARGV[8])
    archive(id, held, {}, 'its worker died too often while it ran this task')
  else
    redis.call('HDEL', key, 'hr:attempt', 'hr:lease')
    make_pending(id)
  end
end

local homes = {
  pending = make_pending,
  active = recover,
  scheduled = function(id) redis.call('ZADD', KEYS[4], math.ceil(now), id) end,
  retry = function(id) redis.call('ZADD', KEYS[5], math.ceil(now), id) end,
  archived = function(id) redis.call('ZADD', archive_key, math.floor(now), id) end,
  completed = function(id, _, kept_until)
    redis.call('ZADD', KEYS[7], math.max(math.ceil(now), kept_until), id)
  end,
}

local function bring_home(id, held, state, group, kept_until)
  if state == 'aggregating' and group ~= '' then
    local kind = redis.call('TYPE', group_prefix .. group).ok
    if kind ~= 'none' and kind ~= 'zset' then
      return
    end
    report(id, 1, 'is in no container', 'put back into its group')
    if repairs then
      redis.call('ZADD', group_prefix .. group, math.floor(now), id)
      redis.call('SADD', groups, group)
    end
    return
  end
  local home = homes[state]
  if not home then
    local problem = 'is in no container, and its state is "' .. state .. '"'
    report(id, 1, problem, 'archived')
    if repairs then
      archive(id, held, {}, problem)
    end
    return
  end
  local target = state == 'active' and 'pending, as after a crash' or state
  report(id, 1, 'is ' .. state .. ', but in no container', 'put back into ' .. target)
  if repairs then
    home(id, held, kept_until)
  end
end

-- What may be wrong although the task is where its state says.
local function check_details(id, state, keep, leased, held)
  local key = prefix .. id
  if keep.n > 1 then
    report(id, 2, 'is ' .. keep.n .. ' times in ' .. state, 'one entry kept')
    if repairs then
      redis.call('LREM', keep.key, keep.n - 1, id)
    end
  end
  if state == 'active' and not leased then
    report(id, 4, 'is active, but has no lease', 'given a lease, after which it is recovered')
    if repairs then
      local expiry = lease_end(now, tonumber(ARGV[6]))
      redis.call('ZADD', lease, expiry, id)
      redis.call('HSET', key, 'hr:lease', expiry)
    end
  elseif state ~= 'active' and leased then
    report(id, 4, 'has a lease, but is ' .. state, 'lease removed')
    if repairs then
      redis.call('ZREM', lease, id)
    end
  end
  if state == 'pending' and not held[5] then
    report(id, 7, 'is pending, but since when is not known', 'taken as pending from now on')
    if repairs then
      redis.call('HSET', key, 'pending_since', nanoseconds(now))
    end
  elseif state ~= 'pending' and held[5] then
    report(id, 7, 'has pending_since, but is ' .. state, 'pending_since removed')
    if repairs then
      redis.call('HDEL', key, 'pending_since')
    end
  end
  local score = tonumber(keep.score)
  if score and score ~= math.floor(score) then
    report(id, 6, 'its score in ' .. state .. ' has a fraction', 'rounded up')
    if repairs then
      redis.call('ZADD', keep.key, math.ceil(score), id)
    end
  end
end

-- The place where a task belongs, made so if need be; nil if there is none, or none is known.
local function settle(id, state, places, leased)
  local keep
  for _, place in ipairs(places) do
    if place.state == state and (not keep or place.is_set) then
      keep = place
    end
  end
  if keep then
    return keep, state
  end
  if is_long then
    return nil, state
  end
  if state == 'active' and leased then
    report(id, 4, 'has a lease, but is not in active', 'put into active')
    if repairs then
      redis.call('LPUSH', active, id)
    end
    return {state = 'active', key = active, n = 1, is_list = true}, state
  end
  keep = places[1]
  if keep then
    report(id, 3, 'is in ' .. name_of(keep) .. ', but its state is "' .. state .. '"',
      'state corrected')
    if repairs then
      redis.call('HSET', prefix .. id, 'state', keep.state)
    end
    return keep, keep.state
  end
  return nil, state
end

local function drop(id, places, leased)
  if #places > 0 then
    report(id, 1, 'is in ' .. name_of(places[1]) .. ', but has no hash', 'dropped')
  elseif leased then
    report(id, 4, 'has a lease, but no hash', 'lease removed')
  end
  if repairs then
    redis.call('ZREM', lease, id)
    for _, place in ipairs(places) do
      take_out(place, id)
    end
  end
end

-- Whether the task is dealt with.
local function check_message(task, held, state, places, leased)
  local id = task.id
  if task.reason == '' or state == 'archived' or (state == 'active' and leased)
    or (held[1] or '') ~= task.bad then
    return false
  end
  local can_be_mended = task.replacement ~= ''
  report(id, 5, task.reason, can_be_mended and 'message corrected' or 'archived as it is')
  if can_be_mended then
    if repairs then
      redis.call('HSET', prefix .. id, 'msg', task.replacement)
    end
    return false
  end
  if repairs then
    archive(id, held, places, task.reason)
  end
  return true
end

local function examine(task)
  local id = task.id
  local held = redis.pcall('HMGET', prefix .. id,
    'msg', 'state', 'unique_key', 'group', 'pending_since', 'hr:crashes')
  if held.err then
    return
  end
  local state, group = held[2] or '', held[4] or ''
  local places = places_of(id, state, group, task.where)
  local leased = redis.call('ZSCORE', lease, id)
  if redis.call('EXISTS', prefix .. id) == 0 then
    drop(id, places, leased)
    return
  end
  if is_long and task.reason ~= '' then
    unsure[#unsure + 1] = id
    return
  end
  if check_message(task, held, state, places, leased) then
    return
  end
  local keep
  keep, state = settle(id, state, places, leased)
  if not keep then
    if is_long or (state == 'aggregating' and not must_be_sure) then
      unsure[#unsure + 1] = id
    else
      bring_home(id, held, state, group, tonumber(task.kept_until) or 0)
    end
    return
  end
  for _, place in ipairs(places) do
    if place.key ~= keep.key then
      report(id, 1, 'is in ' .. name_of(keep) .. ', and in ' .. name_of(place),
        'kept in ' .. name_of(keep) .. ' only')
      if repairs then
        take_out(place, id)
      end
    end
  end
  check_details(id, state, keep, leased, held)
end

for i = 9, #ARGV, 6 do
  examine({
    id = ARGV[i], bad = ARGV[i + 1], reason = ARGV[i + 2], replacement = ARGV[i + 3],
    kept_until = ARGV[i + 4], where = ARGV[i + 5],
  })
end
count(KEYS[10], now, archived_now)
count(KEYS[11], now, archived_now)
return {findings, unsure, is_long and 1 or 0}
