-- Gives up whatever a slot has: its place, its turn or its session.
--
-- Atomic because: what there is to give up, and who is counted for it, depends on a cursor that moves.
--
-- KEYS[1] line: hash
-- KEYS[2] gone: bitmap
-- KEYS[3] left: bitmap
-- KEYS[4] waves: sorted set
-- KEYS[5] claims: hash
-- KEYS[6] active: sorted set
-- KEYS[7] sessions: sorted set
-- KEYS[8] window: hash
--
-- ARGV[1] now: ms since the Unix epoch
-- ARGV[2] generation: of the token
-- ARGV[3] slot: from 0
--
-- Reply: {0} = no such room. {1} = left. {2} = already, nothing was done. {3} = unknown, nothing was done
-- Cost: O(log sessions).
-- Agrees with: core::line::Line::leave

local line_key, gone_key, left_key, waves_key, claims_key, active_key, sessions_key, window_key = unpack(KEYS)
local generation, slot = tonumber(ARGV[2]), tonumber(ARGV[3])

local line = load_line(line_key, { 'base', 'issued', 'serving', 'waiting', 'ready', 'active', 'left_total', 'refund', 'bits' })
if not line then return { 0 } end
advance(line, ARGV[1])
save_line(line_key, line, {})
if generation ~= line.generation then return { 3 } end

local where, wave = standing(line, gone_key, left_key, waves_key, slot)
if where == 'unknown' then return { 3 } end
if where == 'left' or where == 'passed over' then return { 2 } end
if where == 'entered' or where == 'missed' then
  local ended = drop_session(line, sessions_key, active_key, slot)
  save_line(line_key, line, { 'active' })
  return { ended and 1 or 2 }
end

if where == 'waiting' then
  line.waiting = line.waiting - 1
  add_to_window(window_key, line.now, { losses = 1 })
elseif where == 'ready' then
  claim(line, claims_key, wave)
  line.refund = line.refund + 1
end
redis.call('SETBIT', gone_key, slot - line.base - 1, 1)
redis.call('SETBIT', left_key, slot - line.base - 1, 1)
line.left_total = line.left_total + 1
line.bits = line.bits + 1
save_line(line_key, line, { 'waiting', 'ready', 'left_total', 'refund', 'bits' })
return { 1 }
