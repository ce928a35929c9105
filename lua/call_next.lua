-- Carries out a decision: passes the lapsed, then calls the next live slots in order.
--
-- Atomic because: any number of origins decide on the same line; the one whose version still stands is carried out, and the cursor,
-- the wave and the rate bucket move together.
--
-- KEYS[1] line: hash
-- KEYS[2] gone: bitmap
-- KEYS[3] waves: sorted set
-- KEYS[4] window: hash
-- KEYS[5] joins: stream
--
-- ARGV[1] version: the one that was decided on
-- ARGV[2] now: ms since the Unix epoch
-- ARGV[3] lapse_to: slot, 0 = none
-- ARGV[4] count: most live slots to call, from 0
-- ARGV[5] limit: highest slot that may be called
-- ARGV[6] until: ms since the Unix epoch
-- ARGV[7] level: before, 1/60,000 of a call
-- ARGV[8] cost: of each slot called, 1/60,000 of a call
-- ARGV[9] level_at: ms since the Unix epoch
-- ARGV[10] refund: turns, from 0
-- ARGV[11] wave_at: ms since the Unix epoch
-- ARGV[12] rate: calls per minute
-- ARGV[13] marks_from: ms since the Unix epoch
--
-- Reply: {0} = no such room. {1, called, serving}. {2, version} = stale: the line is at this version, nothing was done
-- Cost: O(distance the cursor moves / 64) and O(log distance) commands, whatever is gone in between.
-- Agrees with: core::line::Line::call

local line_key, gone_key, waves_key, window_key, joins_key = unpack(KEYS)
local version, lapse_to, count, limit = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local closes_at, level, cost, refund = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[10])

local line = load_line(line_key, {
  'base', 'issued', 'serving', 'waiting', 'ready', 'called_total', 'missed_total', 'refund',
})
if not line then return { 0 } end
if version ~= line.version then return { 2, line.version } end
advance(line, ARGV[2])

lapse_to = math.min(lapse_to, line.issued)
if lapse_to > line.serving then
  local lapsed = live_between(gone_key, line.base, line.serving, lapse_to)
  line.serving = lapse_to
  line.waiting = line.waiting - lapsed
  line.missed_total = line.missed_total + lapsed
  add_to_window(window_key, line.now, { losses = lapsed })
end

-- Gallop in growing chunks until enough live slots are found, then halve the last chunk that had any. Adding up what is missing
-- instead would take hundreds of rounds where nearly everybody is gone.
limit = math.min(limit, line.issued)
local reached, found, step = line.serving, 0, 64
local low, high, before = line.serving, line.serving, 0
while reached < limit and found < count do
  local to = math.min(reached + step, limit)
  local live = live_between(gone_key, line.base, reached, to)
  if live > 0 then low, high, before = reached, to, found end
  found, reached, step = found + live, to, step * 2
end
local called = math.min(found, count)
if called > 0 then
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    local live = live_between(gone_key, line.base, low, middle)
    if before + live >= called then high = middle else low, before = middle, before + live end
  end
  closes_at = math.max(0, closes_at - line.given_back)
  local youngest = redis.call('ZRANGE', waves_key, -1, -1)[1]
  if youngest then closes_at = math.max(closes_at, parse_wave(youngest).closes_at) end
  redis.call('ZADD', waves_key, high, wave_text(line.serving + 1, high, line.now, closes_at, called))
  line.serving = high
  line.waiting = line.waiting - called
  line.ready = line.ready + called
  line.called_total = line.called_total + called
  add_to_window(window_key, line.now, { calls = called })
end

-- A call that found nobody has spent nothing: bucket and wave are there for the first who may be called.
if called > 0 or count == 0 then
  line.refund = math.max(0, line.refund - refund)
  local level_after = math.max(0, level - called * cost)
  redis.call('HSET', line_key, 'level', level_after, 'level_at', ARGV[9], 'refund', line.refund, 'wave_at', ARGV[11])
end
line.version = line.version + 1
save_line(line_key, line, { 'serving', 'waiting', 'ready', 'called_total', 'missed_total', 'version' })
redis.call('HSET', line_key, 'rate', ARGV[12])
redis.call('XTRIM', joins_key, 'MINID', ARGV[13])
return { 1, called, line.serving }
