-- Moves the end of an open session further away, never nearer.
--
-- Atomic because: a session that ends in between must stay ended, its place may be somebody else's already.
--
-- KEYS[1] line: hash
-- KEYS[2] active: sorted set
-- KEYS[3] sessions: sorted set
--
-- ARGV[1] now: ms since the Unix epoch
-- ARGV[2] generation: of the token
-- ARGV[3] slot: from 0
-- ARGV[4] until: ms since the Unix epoch
--
-- Reply: {0} = no such room. {1, ends_at}. {2} = no session is open, nothing was done
-- Cost: O(log sessions).
-- Agrees with: core::line::Line::extend_session

local line_key, active_key, sessions_key = unpack(KEYS)
local generation, slot, till = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local line = load_line(line_key, {})
if not line then return { 0 } end
advance(line, ARGV[1])
save_line(line_key, line, {})
if generation ~= line.generation then return { 2 } end

local session = find_session(sessions_key, slot)
if not session or session.ends_at <= line.running then return { 2 } end
local ends_at = till - line.given_back
if ends_at > session.ends_at then
  session.ends_at = ends_at
  put_session(sessions_key, active_key, slot, session)
end
return { 1, session.ends_at + line.given_back }
