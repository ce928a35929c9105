-- Takes a called turn: opens its session.
--
-- Atomic because: any number of repeats, at once or late, on any number of origins, must find or make the same one session.
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
-- ARGV[4] session_ms: ms
-- ARGV[5] pass_ttl_ms: ms
--
-- Reply: {0} = no such room. {1, entered_at, ends_at, pass_at} = entered. {2, the same} = again. {3} = not ready. {4} = missed.
--   {5} = passed over. {6} = left. {7} = over. {8} = unknown
-- Cost: O(log sessions).
-- Agrees with: core::line::Line::enter

local line_key, gone_key, left_key, waves_key, claims_key, active_key, sessions_key, window_key = unpack(KEYS)
local generation, slot, session_ms, pass_ttl_ms = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local STATUS = { waiting = 3, silent = 3, missed = 4, ['passed over'] = 5, left = 6, entered = 7, unknown = 8 }

local line = load_line(line_key, { 'base', 'issued', 'serving', 'ready', 'entered_total', 'bits' })
if not line then return { 0 } end
advance(line, ARGV[1])
save_line(line_key, line, {})
if generation ~= line.generation then return { STATUS.unknown } end

local session = find_session(sessions_key, slot)
if session and session.ends_at > line.running then
  if line.now - session.pass_at >= pass_ttl_ms then
    session.pass_at = line.now
    put_session(sessions_key, active_key, slot, session)
  end
  return { 2, session.entered_at, session.ends_at + line.given_back, session.pass_at }
end

local where, wave = standing(line, gone_key, left_key, waves_key, slot)
if where ~= 'ready' then return { STATUS[where] } end
redis.call('SETBIT', left_key, slot - line.base - 1, 1)
claim(line, claims_key, wave)
session = { entered_at = line.now, ends_at = line.running + session_ms, pass_at = line.now }
put_session(sessions_key, active_key, slot, session)
line.active = redis.call('ZCARD', active_key)
line.entered_total = line.entered_total + 1
line.bits = line.bits + 1
add_to_window(window_key, line.now, { entries = 1 })
save_line(line_key, line, { 'ready', 'active', 'entered_total', 'bits' })
return { 1, session.entered_at, session.ends_at + line.given_back, session.pass_at }
