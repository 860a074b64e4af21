-- audit_groups.lua: find, and put right, groups and aggregation sets that nobody knows of.
-- KEYS[1]  asynq:{q}:groups
-- KEYS[2]  asynq:{q}:aggregation_sets
-- KEYS[3…] groups and aggregation sets
-- ARGV     now or "", "1" to put right what is found, prefix of the tasks' keys, prefix of the
--          groups' keys
-- Returns  {{key, invariant, what is wrong, how it is put right: four a finding}, "1" if there
--          is now a set for reclaim.lua}
-- A set that is not registered gets a deadline that has passed: reclaim.lua does the rest.
--@include now
local groups, sets, repairs, group_prefix = KEYS[1], KEYS[2], ARGV[2] == '1', ARGV[4]
local findings, has_overdue = {}, '0'
local function report(...)
  for _, item in ipairs({...}) do
    findings[#findings + 1] = item
  end
end
local function type_of(key)
  return redis.call('TYPE', key).ok
end
local groups_type, sets_type = type_of(groups), type_of(sets)
if (groups_type ~= 'none' and groups_type ~= 'set')
  or (sets_type ~= 'none' and sets_type ~= 'zset') then
  return {{}, '0'}
end

-- Whether a key that nobody knows of holds what was taken out of a group.
local function is_set(key, name)
  for _, id in ipairs(redis.call('ZRANGE', key, 0, 99)) do
    local group = redis.pcall('HGET', ARGV[3] .. id, 'group')
    if group == name then
      return false
    end
    if type(group) == 'string' and group ~= ''
      and string.sub(name, 1, #group + 1) == group .. ':' then
      return true
    end
  end
  return false
end

local now = now_or(ARGV[1])
for i = 3, #KEYS do
  local key, kind = KEYS[i], type_of(KEYS[i])
  local name, registered = string.sub(key, #group_prefix + 1), redis.call('ZSCORE', sets, key)
  if kind == 'none' and registered then
    report(key, 19, 'is registered as an aggregation set, but does not exist', 'forgotten')
    if repairs then
      redis.call('ZREM', sets, key)
    end
  elseif kind == 'zset' and not registered and redis.call('SISMEMBER', groups, name) == 0 then
    if is_set(key, name) then
      report(key, 19, 'is an aggregation set that is not registered',
        'its tasks put back into their group')
      if repairs then
        redis.call('ZADD', sets, math.floor(now), key)
        has_overdue = '1'
      end
    else
      report(key, 18, 'is a group that holds tasks, but is not in groups', 'put into groups')
      if repairs then
        redis.call('SADD', groups, name)
      end
    end
  end
end
return {findings, has_overdue}
