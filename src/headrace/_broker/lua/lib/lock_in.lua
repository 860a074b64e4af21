-- The lock that a task's msg names, for a hash without `unique_key`: asynq's client leaves that
-- field out where it puts a unique task into a group. It is field 10 of the message; nil if there
-- is none. Of bytes that are no message, what is found so far counts.
local function lock_in(msg)
  local at, found = 1, nil
  local function varint()
    local value, factor = 0, 1
    while true do
      local byte = string.byte(msg, at)
      if not byte then
        return nil
      end
      at = at + 1
      value = value + byte % 128 * factor
      if byte < 128 then
        return value
      end
      factor = factor * 128
    end
  end
  while at <= #msg do
    local tag = varint()
    local size = tag and varint()  -- Or the value, of a number.
    if not size or (tag % 8 ~= 0 and tag % 8 ~= 2) then
      return found
    end
    if tag == 82 then
      found = string.sub(msg, at, at + size - 1)
    end
    if tag % 8 == 2 then
      at = at + size
    end
  end
  return found
end
