"""The atomic writes of sessions, in Lua. The time is Redis' own, so that clocks of other machines do not matter.

A session's `fence` grows with each owner. Every write of an owner names the fence that it was given; once
another worker has claimed the session, all writes of the former owner are rejected.
"""

from redis.asyncio import Redis

from shared.bus.lua.names import NOW, named
from shared.bus.scripts import Script

_WHEN_FULL = "#!lua flags=allow-oom\n"
"""Prefix of the scripts of owners and heartbeats. When memory is full, Redis rejects audio and new sessions, and
accepts the small writes that end sessions, trim audio and store finals. A script that is rejected is rejected as a
whole, before its first write."""

FENCED = -1
"""Returned by every script of an owner if another worker has claimed the session."""
ELSEWHERE = 0
"""Returned by a claim if another worker of the model has more free slots."""
UNREADABLE = -2
"""Returned by a claim if the session's protocol is not compatible with the worker's."""
NO_ROOM = -3
"""Returned by a claim if the worker has too few free slots for the session, and another one has enough."""
_SLOTS = "local function slots_of(id) local mark = id .. '$slot_mark'; return id, mark .. 1, mark .. 2, mark .. 3 end\n"
"""The members that a session may have in the set of admitted ones: one for each slot. See `keys.admitted`."""

# KEYS: admitted, session, audio, unerased, awaiting, free.
# ARGV: session id, capacity, claim ms, ttl s, options, resume digest, viewer digest, name of the API key, awaited ms,
# number and oldest of the protocol, number of slots that the session needs.
# → 0 if too few slots are free (several must be free at one worker), 1, or a list of the sessions that lost their slots
# to this one: those whose clients have been gone for the longest time, and for at least `awaited ms`. An error if a
# session already has the id.
# The audio stream is created only here: a late write cannot recreate it after the session has ended.
# Before the session has an owner, its lease is the time within which a worker must claim it: Celery would compare the
# clocks of two machines to decide whether a task is too old.
# The set of admitted sessions expires with its last member, so nothing is left of a model that is gone.
ADMIT = named(
    NOW
    + _SLOTS
    + """
local there = redis.call('HGET', KEYS[2], 'state')
if there then
  return redis.error_reply('ILLEGAL Move admit: a session in ' .. there .. ' came, expected no session.')
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local given, slots = 1, tonumber(ARGV[12])
local missing = redis.call('ZCARD', KEYS[1]) + slots - tonumber(ARGV[2])
if missing > 0 then
  local losers = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now - tonumber(ARGV[9]))) do
    local held = 0
    for _, score in ipairs(redis.call('ZMSCORE', KEYS[1], slots_of(id))) do if score then held = held + 1 end end
    if held > 0 then
      losers[#losers + 1] = id
      missing = missing - held
      if missing <= 0 then break end
    else
      redis.call('ZREM', KEYS[5], id)
    end
  end
  if missing > 0 then return 0 end
  for _, id in ipairs(losers) do
    redis.call('ZREM', KEYS[5], id)
    redis.call('ZREM', KEYS[1], slots_of(id))
  end
  given = losers
elseif slots > 1 and redis.call('ZCOUNT', KEYS[6], slots, '+inf') == 0 then
  return 0
end
for i = 1, slots do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), (select(i, slots_of(ARGV[1])))) end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
redis.call('HSET', KEYS[2], 'state', '$waiting', 'options', ARGV[5], 'resume', ARGV[6], 'viewer', ARGV[7],
  'key', ARGV[8], 'fence', 0, 'seq', 0, 'checkpoint', 0, 'segment', 0, 'owner', '',
  'lease', now + tonumber(ARGV[3]), 'created', now,
  'protocol', ARGV[10], 'protocol_oldest', ARGV[11])
if slots > 1 then redis.call('HSET', KEYS[2], 'slots', slots) end
redis.call('XADD', KEYS[3], '0-1', '$control_field', '$attach')
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('EXPIRE', KEYS[3], ARGV[4])
redis.call('ZADD', KEYS[4], now + ARGV[4] * 1000, ARGV[1])
return given
"""
)

# KEYS: session, free, workers.
# ARGV: worker id, lease ms, ttl s, number and oldest of the worker's protocol, free slots of the worker (or none).
# → the hash after the claim, 0 if another worker has more free slots, -2 if the protocols are not compatible, -3 if the
# slots of this worker are too few and those of another are enough, or nil if the session cannot be claimed
# The owner writes in its own protocol: from then on readers of the session must know the higher one of both.
# A task is passed on at most once for each worker: counts may be slightly old, and a wait is worse than uneven load.
CLAIM = named(
    NOW
    + """
local me, lease, ttl, number, oldest, room = unpack(ARGV, 1, 6)
local state, until_ms, passed, its_number, its_oldest, slots = unpack(
  redis.call('HMGET', KEYS[1], 'state', 'lease', 'passed', 'protocol', 'protocol_oldest', 'slots'))
if not state then return nil end
local lapsed = tonumber(until_ms) <= now
if not $may_claim then return nil end
number, its_number = tonumber(number), tonumber(its_number or 1)
oldest, its_oldest = tonumber(oldest), tonumber(its_oldest or 1)
if number < its_oldest or its_number < oldest then return $unreadable end
slots = tonumber(slots or 1)
if tonumber(room or slots) < slots then
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], slots, '+inf')) do
    if other ~= me and tonumber(redis.call('ZSCORE', KEYS[3], other) or 0) > now then return $no_room end
  end
  return nil
end
local mine = redis.call('ZSCORE', KEYS[2], me)
if mine and tonumber(passed or 0) < redis.call('ZCARD', KEYS[2]) then
  for _, other in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[2], '+inf', '(' .. mine)) do
    if tonumber(redis.call('ZSCORE', KEYS[3], other) or 0) > now then
      redis.call('HINCRBY', KEYS[1], 'passed', 1)
      return $elsewhere
    end
  end
end
if mine then redis.call('ZINCRBY', KEYS[2], -slots, me) end
redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('HSET', KEYS[1], 'state', '$live', 'owner', me, 'lease', now + tonumber(lease),
  'protocol', math.max(number, its_number), 'protocol_oldest', math.max(oldest, its_oldest))
redis.call('HDEL', KEYS[1], 'passed')
redis.call('EXPIRE', KEYS[1], ttl)
return redis.call('HGETALL', KEYS[1])
""",
    elsewhere=ELSEWHERE,
    unreadable=UNREADABLE,
    no_room=NO_ROOM,
)

# KEYS: session, audio, events, finals, admitted, awaiting, labels.
# ARGV: fence, lease ms, ttl s, session id, admitted ms, for how many ms its client has been gone ('': it is connected),
# number of its slots.
# → 1, -1, or 0 if the session has ended
RENEW = named(
    NOW
    + _SLOTS
    + """
local fence, lease, ttl, id, admitted, gone, slots = unpack(ARGV, 1, 7)
local held, state = unpack(redis.call('HMGET', KEYS[1], 'fence', 'state'))
if held ~= fence then return $fenced end
if not $may_renew then return 0 end
redis.call('HSET', KEYS[1], 'lease', now + tonumber(lease))
for i = 1, 4 do redis.call('EXPIRE', KEYS[i], ttl) end
for i = 1, tonumber(slots) do redis.call('ZADD', KEYS[5], now + tonumber(admitted), (select(i, slots_of(id)))) end
redis.call('EXPIRE', KEYS[7], ttl)
if redis.call('PTTL', KEYS[5]) < tonumber(admitted) then redis.call('PEXPIRE', KEYS[5], admitted) end
if gone == '' then
  redis.call('ZREM', KEYS[6], id)
else
  redis.call('ZADD', KEYS[6], 'NX', now - tonumber(gone), id)
  redis.call('EXPIRE', KEYS[6], ttl)
end
return 1
""",
    fenced=FENCED,
)

# KEYS: session. ARGV: fence. → 1, -1, or 0 if the session has ended
# From then on another worker may claim the session although its owner is alive and serves it.
OFFER = named(
    """
local held, state = unpack(redis.call('HMGET', KEYS[1], 'fence', 'state'))
if held ~= ARGV[1] then return $fenced end
if not $may_offer then return 0 end
redis.call('HSET', KEYS[1], 'state', '$offered')
return 1
""",
    fenced=FENCED,
)

# Everything that an owner writes at one time: events, its progress, and the end of the session.
# KEYS: session, audio, events, finals, admitted, free, unerased, awaiting, labels, voices.
# ARGV: as unpacked ('' if absent), then kind (see `EventKind`) and payload of each event.
# → events written, or -1
# Events that the log already has, and a checkpoint older than the known one, are from a repeated write. The committed
# text belongs to the last of the events, so it is stored only together with new events.
WRITE = named(
    NOW
    + _SLOTS
    + """
local fence, id, worker, channel, log_length, ttl = unpack(ARGV, 1, 6)
local first_seq, checkpoint, keep_from, segment, options, consumed, ending, retention = unpack(ARGV, 7, 14)
local committed, speakers = ARGV[15], ARGV[16]
local held, last, state, settled = unpack(redis.call('HMGET', KEYS[1], 'fence', 'seq', 'state', 'checkpoint'))
if held ~= fence then return $fenced end
local seq, written = tonumber(first_seq), 0
last = tonumber(last)
for i = 17, #ARGV, 2 do
  if seq > last then
    local kind, event = ARGV[i], ARGV[i + 1]
    if string.sub(kind, 1, 1) == '$revised_kind' then
      local index, cut = tonumber(string.sub(kind, 2)), string.find(event, '$line_break', 1, true)
      if redis.call('LLEN', KEYS[4]) > index then redis.call('LSET', KEYS[4], index, string.sub(event, cut + 1)) end
      redis.call('HSET', KEYS[1], 'revised', seq)
      event = string.sub(event, 1, cut - 1)
    end
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', log_length, seq .. '-0', '$event_field', event)
    if kind == '$final_kind' then redis.call('RPUSH', KEYS[4], event) end
    if kind == '$labels_kind' then redis.call('RPUSH', KEYS[9], event) end
    redis.call('PUBLISH', channel, event)
    last, written = seq, written + 1
  end
  seq = seq + 1
end
if written > 0 then
  redis.call('HSET', KEYS[1], 'seq', last)
  for _, i in ipairs({3, 4, 9}) do
    if redis.call('TTL', KEYS[i]) == -1 then redis.call('EXPIRE', KEYS[i], ttl) end
  end
  if committed == '$nothing_committed' then
    redis.call('HDEL', KEYS[1], 'committed')
  elseif committed ~= '' then
    redis.call('HSET', KEYS[1], 'committed', committed)
  end
end
if speakers ~= '' then
  redis.call('HSET', KEYS[1], 'speakers', speakers)
  redis.call('DEL', KEYS[10])
end
if checkpoint ~= '' and tonumber(checkpoint) >= tonumber(settled) then
  redis.call('HSET', KEYS[1], 'checkpoint', checkpoint, 'segment', segment)
  if options ~= '' then redis.call('HSET', KEYS[1], 'options', options) end
  redis.call('XTRIM', KEYS[2], 'MINID', keep_from .. '-0')
  if consumed ~= '' then
    redis.call('HSET', KEYS[1], 'consumed', consumed)
    redis.call('PUBLISH', channel, '$progress_message,"consumed":' .. consumed .. '}')
  end
end
if ending ~= '' and $may_end then
  redis.call('HSET', KEYS[1], 'state', ending, 'owner', '', 'lease', 0)
  redis.call('HDEL', KEYS[1], 'speakers')
  redis.call('DEL', KEYS[2], KEYS[10])
  for _, key in ipairs({KEYS[1], KEYS[3], KEYS[4], KEYS[9]}) do redis.call('EXPIRE', key, retention) end
  redis.call('ZADD', KEYS[7], now + retention * 1000, id)
  redis.call('ZREM', KEYS[5], slots_of(id))
  redis.call('ZREM', KEYS[8], id)
  if redis.call('ZSCORE', KEYS[6], worker) then
    redis.call('ZINCRBY', KEYS[6], redis.call('HGET', KEYS[1], 'slots') or 1, worker)
  end
end
return written
""",
    fenced=FENCED,
)

# Deletes the data of a session, ends it for all its followers, and frees its slot. If it has an owner, the state
# `cancelled` and the digests of its tokens stay for a short time: the new fence rejects later writes of the owner.
# KEYS: session, audio, events, finals, admitted, free, unerased, voices, labels, webhook.
# ARGV: session id, channel, ttl s of the remaining hash, the end of an error event (JSON).
# → the owner to notify, '' if there is none, or nil if there is no such session
ERASE = named(
    NOW
    + _SLOTS
    + """
local id, channel, ttl, told = unpack(ARGV, 1, 4)
local state, owner, lease, fence, seq, resume, viewer, slots = unpack(
  redis.call('HMGET', KEYS[1], 'state', 'owner', 'lease', 'fence', 'seq', 'resume', 'viewer', 'slots'))
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[8], KEYS[9], KEYS[10])
if not state then return nil end
if state == '$cancelled' then return '' end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[5], slots_of(id))
redis.call('ZADD', KEYS[7], now, id)
if $is_owned then
  redis.call('PUBLISH', channel, '$error_message,"session_id":"' .. id .. '","seq":' .. seq + 1 .. ',' .. told)
end
if not $is_owned or tonumber(lease) <= now then return '' end
redis.call('HSET', KEYS[1], 'state', '$cancelled', 'owner', '', 'lease', 0, 'fence', fence + 1, 'seq', seq,
  'resume', resume, 'viewer', viewer)
redis.call('EXPIRE', KEYS[1], ttl)
if redis.call('ZSCORE', KEYS[6], owner) then redis.call('ZINCRBY', KEYS[6], slots or 1, owner) end
return owner
"""
)

# KEYS: index, heartbeat; of a worker also free, control.
# ARGV: process id, ttl ms, report; of a worker also free slots (none while it drains), ttl of control s.
# A worker is never seen without the slots that it offers. Sessions go to the worker with the most free slots; between
# heartbeats, claims and ends update the count. Workers that are gone are removed.
BEAT = named(
    NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('HSET', KEYS[2], '$report_field', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if not KEYS[3] then return end
if ARGV[4] == '' then redis.call('ZREM', KEYS[3], ARGV[1]) else redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1]) end
redis.call('ZINTERSTORE', KEYS[3], 2, KEYS[3], KEYS[1], 'WEIGHTS', 1, 0)
redis.call('PEXPIRE', KEYS[3], ARGV[2])
redis.call('EXPIRE', KEYS[4], ARGV[5])
"""
)


class Scripts:
    """All scripts of sessions and heartbeats, on one client.

    `replicas` must have received a new session, a claim and, where the caller asks for it, what an owner writes.
    """

    def __init__(self, redis: Redis, replicas: int = 0) -> None:
        self.admit = Script(redis, ADMIT, replicas)
        self.claim = Script(redis, _WHEN_FULL + CLAIM, replicas)
        self.renew = Script(redis, _WHEN_FULL + RENEW)
        self.offer = Script(redis, _WHEN_FULL + OFFER)
        self.write = Script(redis, _WHEN_FULL + WRITE, replicas)
        self.erase = Script(redis, _WHEN_FULL + ERASE)
        self.beat = Script(redis, _WHEN_FULL + BEAT)
