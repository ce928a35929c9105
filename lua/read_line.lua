-- Lets time pass for a room, then reads what the reader does not know yet.
--
-- Atomic because: numbers, bitmaps and waves must be of one moment; and what is closed here a decision may count on.
--
-- KEYS[1] line: hash
-- KEYS[2] gone: bitmap
-- KEYS[3] left: bitmap
-- KEYS[4] waves: sorted set
-- KEYS[5] claims: hash
-- KEYS[6] active: sorted set
-- KEYS[7] sessions: sorted set
-- KEYS[8] joins: stream
-- KEYS[9] window: hash
-- KEYS[10] settings: string
--
-- ARGV[1] now: ms since the Unix epoch
-- ARGV[2] generation: known
-- ARGV[3] version: known
-- ARGV[4] bits: known
-- ARGV[5] settings: known version
-- ARGV[6] mark_at: of the youngest known join mark
-- ARGV[7] sessions: most open sessions wanted, 0 = none
--
-- Reply: {0} = no such room. {1, facts, gone, left, waves, claims, joins, window, sessions, settings}, each nil when known or not wanted;
--   the ends of waves and sessions are in running time
-- Cost: O(1) plus O(log n) per wave that closes and per session that ends (2,000 at most), plus what is sent.
-- Agrees with: core::line::Line::settle

local line_key, gone_key, left_key, waves_key, claims_key = unpack(KEYS, 1, 5)
local active_key, sessions_key, joins_key, window_key, settings_key = unpack(KEYS, 6)
local known = { generation = tonumber(ARGV[2]), version = tonumber(ARGV[3]), bits = tonumber(ARGV[4]), settings = tonumber(ARGV[5]) }
local mark_at, sessions_wanted = tonumber(ARGV[6]), tonumber(ARGV[7])
local SETTLE_SESSIONS = 2000

local line = load_line(line_key, {
  'waiting', 'ready', 'missed_total', 'refund', 'bits', 'settings',
})
if not line then return { 0 } end
advance(line, ARGV[1])

local passed = line.now - line.settled_at
line.settled_at = line.now
if line.waiting > 0 and passed > 0 then
  add_to_window(window_key, line.now, { busy = passed, waited = line.waiting * passed })
end

local oldest = redis.call('ZRANGE', waves_key, 0, 0)[1]
while oldest do
  local wave = parse_wave(oldest)
  if wave.closes_at > line.running then break end
  local missed = wave.called - (tonumber(redis.call('HGET', claims_key, wave.last)) or 0)
  line.ready = line.ready - missed
  line.missed_total = line.missed_total + missed
  line.refund = line.refund + missed
  redis.call('ZREM', waves_key, oldest)
  redis.call('HDEL', claims_key, wave.last)
  oldest = redis.call('ZRANGE', waves_key, 0, 0)[1]
end

local ended = redis.call('ZRANGE', active_key, '-inf', line.running, 'BYSCORE', 'LIMIT', 0, SETTLE_SESSIONS)
if #ended > 0 then
  for _, slot in ipairs(ended) do redis.call('ZREMRANGEBYSCORE', sessions_key, tonumber(slot), tonumber(slot)) end
  redis.call('ZREM', active_key, unpack(ended))
end
line.active = redis.call('ZCARD', active_key)
save_line(line_key, line, { 'ready', 'active', 'missed_total', 'refund', 'settled_at', 'given_back' })

local fresh = line.generation ~= known.generation
local bits_changed = fresh or line.bits ~= known.bits
local waves_changed = bits_changed or line.version ~= known.version
return {
  1,
  redis.call('HMGET', line_key, unpack(FACTS)),
  bits_changed and (redis.call('GET', gone_key) or ''),
  bits_changed and (redis.call('GET', left_key) or ''),
  waves_changed and redis.call('ZRANGE', waves_key, 0, -1),
  waves_changed and redis.call('HGETALL', claims_key),
  redis.call('XRANGE', joins_key, fresh and '-' or int(mark_at + 1), '+'),
  redis.call('HVALS', window_key),
  sessions_wanted > 0 and redis.call('ZRANGE', sessions_key, 0, sessions_wanted - 1),
  (fresh or line.settings ~= known.settings) and redis.call('GET', settings_key),
}
