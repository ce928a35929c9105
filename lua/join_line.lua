-- Hands out the next numbers, in order, to a batch of joins.
--
-- Atomic because: the number, the place under an identity and the record of an idempotency key are one fact; looked up and written
-- apart, two requests at once would both find nothing.
--
-- KEYS[1] line: hash
-- KEYS[2] joins: stream
-- KEYS[3] users: hash
-- KEYS[4] gone: bitmap
-- KEYS[5] left: bitmap
-- KEYS[6] waves: sorted set
-- KEYS[7] sessions: sorted set
-- KEYS[8..] idem:<key>: string, one per keyed join of the batch, in its order
--
-- ARGV[1] now: ms since the Unix epoch
-- ARGV[2] places_per_user: from 0; 0 = the door is closed and only repeats are answered, so there are no 'a' items
-- ARGV[3] idem_ttl_ms: ms, from 0
-- ARGV[4] mark_every_ms: ms, from 0
-- ARGV[5..] items: 'a' count = so many anonymous joins without a key; 'i' identity; 'k' fingerprint; 'b' identity fingerprint = with both
--
-- Reply: {0} = no such room. {1, generation, now, serving, waiting, issued before, waiting before, then per item other than 'a':
--   0 = new, the next number | 1, ticket, position, joined_at = repeat | 2, ticket = duplicate | 3 = conflict | 4 = closed}
-- Cost: O(1) for any number of anonymous joins; O(1) per identified or keyed one (times places_per_user).
-- Agrees with: core::line::Line::join

local line_key, joins_key, users_key, gone_key, left_key, waves_key, sessions_key = unpack(KEYS, 1, 7)
local places_per_user, idem_ttl_ms, mark_every_ms = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
-- Stands in the records' own time; Redis may forget them a little later, never sooner.
local FORGET_AFTER_MS = 10000
local EXACT_MARKS = 1024

local line = load_line(line_key, { 'base', 'issued', 'serving', 'waiting', 'mark_at' })
if not line then return { 0 } end
advance(line, ARGV[1])
local issued_before, waiting_before = line.issued, line.waiting
local reply = { 1, line.generation, line.now, line.serving, line.waiting, issued_before, waiting_before }
local life = redis.call('HGET', line_key, 'life')

local function is_held(ticket)
  local where = standing(line, gone_key, left_key, waves_key, ticket)
  if where == 'waiting' or where == 'silent' or where == 'ready' then return true end
  if where ~= 'entered' and where ~= 'missed' then return false end
  local session = find_session(sessions_key, ticket)
  return session ~= nil and session.ends_at > line.running
end

-- Answers from the record of a key; false when there is none that counts.
local function repeat_of(key, fingerprint)
  local record = redis.call('GET', key)
  if not record then return false end
  local of, ticket, position, joined_at, expires_at, asked = string.match(record, '^(%S+) (%d+) (%d+) (%d+) (%d+) (.*)$')
  if of ~= life or tonumber(expires_at) <= line.now then return false end
  if asked ~= fingerprint then
    reply[#reply + 1] = 3
  else
    reply[#reply + 1] = 1
    reply[#reply + 1] = tonumber(ticket)
    reply[#reply + 1] = tonumber(position)
    reply[#reply + 1] = tonumber(joined_at)
  end
  return true
end

-- Answers with the youngest place of an identity that has all it may have; else notes the next number under it.
local function duplicate_of(identity)
  local held = {}
  for ticket in string.gmatch(redis.call('HGET', users_key, identity) or '', '%d+') do
    if is_held(tonumber(ticket)) then held[#held + 1] = ticket end
  end
  if #held > 0 and #held >= places_per_user then
    reply[#reply + 1] = 2
    reply[#reply + 1] = tonumber(held[#held])
    return true
  end
  held[#held + 1] = int(line.issued + 1)
  redis.call('HSET', users_key, identity, table.concat(held, ','))
  return false
end

local function join_one(identity, key, fingerprint)
  if key and repeat_of(key, fingerprint) then return end
  if places_per_user == 0 then
    reply[#reply + 1] = 4
    return
  end
  if identity and duplicate_of(identity) then return end
  line.issued = line.issued + 1
  line.waiting = line.waiting + 1
  if key then
    local fields = { life, int(line.issued), int(line.waiting), int(line.now), int(line.now + idem_ttl_ms), fingerprint }
    redis.call('SET', key, table.concat(fields, ' '), 'PX', idem_ttl_ms + FORGET_AFTER_MS)
  end
  reply[#reply + 1] = 0
end

local item, next_key = 5, 8
while item <= #ARGV do
  local kind = ARGV[item]
  if kind == 'a' then
    line.issued = line.issued + tonumber(ARGV[item + 1])
    line.waiting = line.waiting + tonumber(ARGV[item + 1])
    item = item + 2
  elseif kind == 'i' then
    join_one(ARGV[item + 1], nil, nil)
    item = item + 2
  elseif kind == 'k' then
    join_one(nil, KEYS[next_key], ARGV[item + 1])
    item, next_key = item + 2, next_key + 1
  else
    join_one(ARGV[item + 1], KEYS[next_key], ARGV[item + 2])
    item, next_key = item + 3, next_key + 1
  end
end

-- A mark is due when the youngest is too old, or when positions counted on from it are not the true ones any more. The latter only
-- while marks are few, and never two within a millisecond.
local function is_mark_due()
  local elapsed = line.now - line.mark_at
  if elapsed >= mark_every_ms then return true end
  local youngest = redis.call('XREVRANGE', joins_key, '+', '-', 'COUNT', 1)[1]
  if not youngest then return true end
  local fields = youngest[2]
  local strayed = tonumber(fields[4]) + issued_before - tonumber(fields[2]) ~= waiting_before
  return elapsed > 0 and strayed and redis.call('XLEN', joins_key) < EXACT_MARKS
end

if line.issued > issued_before and is_mark_due() then
  redis.call('XADD', joins_key, int(line.now) .. '-*', 'i', issued_before, 'w', waiting_before)
  line.mark_at = line.now
end
save_line(line_key, line, { 'issued', 'waiting', 'mark_at' })
reply[5] = line.waiting
return reply
