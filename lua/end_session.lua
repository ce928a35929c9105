-- Ends a session.
--
-- Atomic because: the session and the count of those inside are one fact.
--
-- KEYS[1] line: hash
-- KEYS[2] active: sorted set
-- KEYS[3] sessions: sorted set
--
-- ARGV[1] now: ms since the Unix epoch
-- ARGV[2] generation: of the token
-- ARGV[3] slot: from 0
--
-- Reply: {0} = no such room. {1} = ended. {2} = none was open
-- Cost: O(log sessions).
-- Agrees with: core::line::Line::end_session

local line_key, active_key, sessions_key = unpack(KEYS)
local generation, slot = tonumber(ARGV[2]), tonumber(ARGV[3])

local line = load_line(line_key, {})
if not line then return { 0 } end
advance(line, ARGV[1])
save_line(line_key, line, {})
if generation ~= line.generation then return { 2 } end

local ended = drop_session(line, sessions_key, active_key, slot)
save_line(line_key, line, { 'active' })
return { ended and 1 or 2 }
