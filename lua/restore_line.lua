-- Brings a line that the store has lost, or knows too little of, to at least what an origin knows; makes the room when there is none.
--
-- Atomic because: several origins restore at once, and people join meanwhile; no number may be handed out twice.
--
-- KEYS[1] line: hash
-- KEYS[2] gone: bitmap
-- KEYS[3] left: bitmap
-- KEYS[4] seen:0: bitmap
-- KEYS[5] seen:1: bitmap
-- KEYS[6] seen:2: bitmap
-- KEYS[7] seen:3: bitmap
-- KEYS[8] seen:4: bitmap
-- KEYS[9] waves: sorted set
-- KEYS[10] claims: hash
-- KEYS[11] active: sorted set
-- KEYS[12] sessions: sorted set
-- KEYS[13] joins: stream
-- KEYS[14] window: hash
-- KEYS[15] users: hash
-- KEYS[16] settings: string
-- KEYS[17] work:0: bitmap, exists only while this script runs
--
-- ARGV[1] now: ms since the Unix epoch
-- ARGV[2] life: a new random name, without spaces
-- ARGV[3] settings: text, for a room that is made
-- ARGV[4] generation: in which the line is known
-- ARGV[5] base: a multiple of 64
-- ARGV[6] known: highest slot whose bits are known
-- ARGV[7] issued: highest ticket that may have been handed out, from known
-- ARGV[8] serving: slot
-- ARGV[9] level: 1/60,000 of a call
-- ARGV[10] level_at: ms since the Unix epoch
-- ARGV[11] settled_at: ms since the Unix epoch, 0 = now; until when the windows and sessions that follow have run
-- ARGV[12] called_total: slots
-- ARGV[13] entered_total: slots
-- ARGV[14] missed_total: slots
-- ARGV[15] left_total: slots
-- ARGV[16] gone: bitmap
-- ARGV[17] left: bitmap
-- ARGV[18] waves: how many
-- ARGV[19] sessions: how many
-- ARGV[20..] items: per wave from, last, called_at, until, called, claimed; per session slot, entered_at, ends_at, pass_at; then
--   per user identity, ticket
--
-- Reply: {1} = changed. {2} = nothing to bring back
-- Cost: O(line / 64 + waves + sessions + users).
-- Agrees with: core::line::Line::restore, core::line::Line::skip_to

local line_key, gone_key, left_key = unpack(KEYS, 1, 3)
local waves_key, claims_key, active_key, sessions_key = unpack(KEYS, 9, 12)
local users_key, settings_key, work_key = unpack(KEYS, 15)
local now, life, settings, generation, base = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local known, issued, serving, settled_at = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[11])
local gone, left, waves, sessions = ARGV[16], ARGV[17], tonumber(ARGV[18]), tonumber(ARGV[19])

local names = { 'base', 'issued', 'serving', 'waiting', 'epoch', 'bits', 'settings' }
local line = load_line(line_key, names)
if not line then
  line = new_line(math.floor(now / 1000), now)
  line.settings = 1
  save_new_line(line_key, line, life)
  redis.call('SET', settings_key, settings)
end
advance(line, now)
save_line(line_key, line, {})

local untouched = line.issued == 0
if generation < line.generation and not untouched then return { 2 } end

local item = 20
local whole = untouched or generation > line.generation
if whole then
  local fresh = new_line(generation, line.now)
  fresh.version, fresh.bits, fresh.settings = line.version, line.bits, line.settings
  fresh.base, fresh.issued, fresh.serving = base, known, serving
  fresh.level, fresh.level_at = tonumber(ARGV[9]), tonumber(ARGV[10])
  fresh.called_total, fresh.entered_total = tonumber(ARGV[12]), tonumber(ARGV[13])
  fresh.missed_total, fresh.left_total = tonumber(ARGV[14]), tonumber(ARGV[15])
  redis.call('UNLINK', unpack(KEYS, 2, 15))
  if #gone > 0 then redis.call('SET', gone_key, gone) end
  if #left > 0 then redis.call('SET', left_key, left) end
  for _ = 1, waves do
    local from, last, called_at, closes_at, called, claimed = unpack(ARGV, item, item + 5)
    redis.call('ZADD', waves_key, last, table.concat({ from, last, called_at, closes_at, called }, ':'))
    redis.call('HSET', claims_key, last, claimed)
    fresh.ready = fresh.ready + called - claimed
    item = item + 6
  end
  for _ = 1, sessions do
    local session = { entered_at = tonumber(ARGV[item + 1]), ends_at = tonumber(ARGV[item + 2]), pass_at = tonumber(ARGV[item + 3]) }
    put_session(sessions_key, active_key, tonumber(ARGV[item]), session)
    item = item + 4
  end
  fresh.active = redis.call('ZCARD', active_key)
  if settled_at > 0 then
    fresh.settled_at = math.min(settled_at, line.now)
    advance(fresh, line.now)
  end
  line = fresh
  save_new_line(line_key, line, life)
else
  item = item + waves * 6 + sessions * 4
end

local users_changed = false
while item <= #ARGV do
  local identity, ticket = ARGV[item], tonumber(ARGV[item + 1])
  local held, found = {}, false
  for text in string.gmatch(redis.call('HGET', users_key, identity) or '', '%d+') do
    held[#held + 1] = tonumber(text)
    found = found or held[#held] == ticket
  end
  if not found then
    held[#held + 1] = ticket
    table.sort(held)
    for i, number in ipairs(held) do held[i] = int(number) end
    redis.call('HSET', users_key, identity, table.concat(held, ','))
    users_changed = true
  end
  item = item + 2
end
if not whole and issued <= line.issued then return { users_changed and 1 or 2 } end

-- Skip to `issued`: everybody live counts as heard from now; the numbers skipped are gone until heard from.
local from = line.issued - line.base
issued = math.max(issued, line.issued)
redis.call('BITOP', 'OR', work_key, gone_key)
invert_bits(work_key, from)
clear_head(work_key, line.serving - line.base)
local seen_key = KEYS[4 + line.epoch % SEEN_RING]
redis.call('BITOP', 'OR', seen_key, seen_key, work_key)
redis.call('UNLINK', work_key)
fill_bits(gone_key, from, issued - line.base)
line.issued = issued
line.waiting = live_between(gone_key, line.base, line.serving, line.issued)
line.bits = line.bits + 1
line.version = line.version + 1
for _, start in ipairs(STARTS) do line[start] = issued end
save_line(line_key, line, { 'issued', 'waiting', 'bits', 'version', unpack(STARTS) })
return { 1 }
