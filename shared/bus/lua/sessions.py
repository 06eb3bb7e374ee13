"""The atomic writes of sessions, in Lua. The time is Redis' own, so that clocks of other machines do not matter.

All keys of a script are of one session, see `shared.bus.lua.slots`.

A session's `fence` grows with each owner. Every write of an owner names the fence that it was given; once
another worker has claimed the session, all writes of the former owner are rejected.
"""

from redis.asyncio import Redis

from shared.bus.lua import slots
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

# KEYS: session, audio.
# ARGV: claim ms, ttl s, options, resume digest, viewer digest, name of the API key, number and oldest of
# the protocol, number of slots that the session has, opener.
# An error if a session of another opener already has the id.
# The audio stream is created only here: a late write cannot recreate it after the session has ended.
# Before the session has an owner, its lease is the time within which a worker must claim it: Celery would compare the
# clocks of two machines to decide whether a task is too old.
ADMIT = named(
    NOW
    + """
local claim, ttl, options, resume, viewer, key, number, oldest, slots, opener = unpack(ARGV, 1, 10)
local there, its_opener = unpack(redis.call('HMGET', KEYS[1], 'state', 'opener'))
if there and its_opener == opener then return end
if there then
  return redis.error_reply('ILLEGAL Move admit: a session in ' .. there .. ' came, expected no session.')
end
redis.call('HSET', KEYS[1], 'state', '$waiting', 'options', options, 'resume', resume, 'viewer', viewer,
  'key', key, 'fence', 0, 'seq', 0, 'checkpoint', 0, 'segment', 0, 'owner', '',
  'lease', now + tonumber(claim), 'created', now, 'protocol', number, 'protocol_oldest', oldest, 'opener', opener)
if tonumber(slots) > 1 then redis.call('HSET', KEYS[1], 'slots', slots) end
redis.call('XADD', KEYS[2], '0-1', '$control_field', '$attach')
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('EXPIRE', KEYS[2], ttl)
"""
)

# KEYS: opening. ARGV: the mark of the connection that has opened the session.
# The key may have expired, and have the mark of another connection now, which stays.
END_OPENING = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""

# KEYS: session.
# ARGV: worker id, lease ms, ttl s, number and oldest of the worker's protocol, how the worker stands (see `RANK`),
# number of workers of its model.
# → the hash after the claim, 0 if another worker has more free slots, -2 if the protocols are not compatible, -3 if the
# slots of this worker are too few and those of another are enough, or nil if the session cannot be claimed
# The owner writes in its own protocol: from then on readers of the session must know the higher one of both.
# A task is passed on at most once for each worker: counts may be slightly old, and a wait is worse than uneven load.
CLAIM = named(
    NOW
    + """
local me, lease, ttl, number, oldest, standing, workers = unpack(ARGV, 1, 7)
local state, until_ms, passed, its_number, its_oldest = unpack(
  redis.call('HMGET', KEYS[1], 'state', 'lease', 'passed', 'protocol', 'protocol_oldest'))
if not state then return nil end
local lapsed = tonumber(until_ms) <= now
if not $may_claim then return nil end
number, its_number = tonumber(number), tonumber(its_number or 1)
oldest, its_oldest = tonumber(oldest), tonumber(its_oldest or 1)
if number < its_oldest or its_number < oldest then return $unreadable end
standing = tonumber(standing)
if standing == $others_fit then return $no_room end
if standing == $none_fits then return nil end
if standing == $others_freer and tonumber(passed or 0) < tonumber(workers) then
  redis.call('HINCRBY', KEYS[1], 'passed', 1)
  return $elsewhere
end
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
    others_freer=slots.OTHERS_FREER,
    others_fit=slots.OTHERS_FIT,
    none_fits=slots.NONE_FITS,
)

# KEYS: session, audio, events, finals, labels. ARGV: fence, lease ms, ttl s. → 1, -1, or 0 if the session has ended
RENEW = named(
    NOW
    + """
local fence, lease, ttl = unpack(ARGV, 1, 3)
local held, state = unpack(redis.call('HMGET', KEYS[1], 'fence', 'state'))
if held ~= fence then return $fenced end
if not $may_renew then return 0 end
redis.call('HSET', KEYS[1], 'lease', now + tonumber(lease))
for i = 1, 5 do redis.call('EXPIRE', KEYS[i], ttl) end
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
# KEYS: session, audio, events, finals, labels, voices.
# ARGV: as unpacked ('' if absent), then kind (see `EventKind`) and payload of each event.
# → events written, or -1
# Events that the log already has, and a checkpoint older than the known one, are from a repeated write. The committed
# text and the answered commit belong to the last of the events, so they are stored only together with new events.
WRITE = named(
    """
local fence, channel, log_length, ttl = unpack(ARGV, 1, 4)
local first_seq, checkpoint, keep_from, segment, options, consumed, ending, retention = unpack(ARGV, 5, 12)
local committed, speakers, answered = unpack(ARGV, 13, 15)
local held, last, state, settled = unpack(redis.call('HMGET', KEYS[1], 'fence', 'seq', 'state', 'checkpoint'))
if held ~= fence then return $fenced end
local seq, written = tonumber(first_seq), 0
last = tonumber(last)
for i = 16, #ARGV, 2 do
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
    if kind == '$labels_kind' then redis.call('RPUSH', KEYS[5], event) end
    redis.call('PUBLISH', channel, event)
    last, written = seq, written + 1
  end
  seq = seq + 1
end
if written > 0 then
  redis.call('HSET', KEYS[1], 'seq', last)
  if answered ~= '' then redis.call('HSET', KEYS[1], 'answered', answered) end
  for _, i in ipairs({3, 4, 5}) do
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
  redis.call('DEL', KEYS[6])
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
  redis.call('DEL', KEYS[2], KEYS[6])
  for _, key in ipairs({KEYS[1], KEYS[3], KEYS[4], KEYS[5]}) do redis.call('EXPIRE', key, retention) end
end
return written
""",
    fenced=FENCED,
)

# Deletes the data of a session, and ends it for all its followers. If it has an owner, the state `cancelled` and the
# digests of its tokens stay for a short time: the new fence rejects later writes of the owner.
# KEYS: session, audio, events, finals, voices, labels, webhook.
# ARGV: session id, channel, ttl s of the remaining hash, the end of an error event (JSON).
# → the owner to notify, '' if there is none, and the number of slots; or nil if there is no such session
ERASE = named(
    NOW
    + """
local id, channel, ttl, told = unpack(ARGV, 1, 4)
local state, owner, lease, fence, seq, resume, viewer, slots = unpack(
  redis.call('HMGET', KEYS[1], 'state', 'owner', 'lease', 'fence', 'seq', 'resume', 'viewer', 'slots'))
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7])
if not state then return nil end
slots = tonumber(slots or 1)
if state == '$cancelled' then return {'', slots} end
redis.call('DEL', KEYS[1])
if $is_owned then
  redis.call('PUBLISH', channel, '$error_message,"session_id":"' .. id .. '","seq":' .. seq + 1 .. ',' .. told)
end
if not $is_owned or tonumber(lease) <= now then return {'', slots} end
redis.call('HSET', KEYS[1], 'state', '$cancelled', 'owner', '', 'lease', 0, 'fence', fence + 1, 'seq', seq,
  'resume', resume, 'viewer', viewer)
redis.call('EXPIRE', KEYS[1], ttl)
return {owner, slots}
"""
)

# KEYS: session. → its state (nil if there is no such session), 1 if its lease has expired, its consumed samples, the
# number of its last event
LOOK = (
    NOW
    + """
local state, lease, consumed, seq = unpack(redis.call('HMGET', KEYS[1], 'state', 'lease', 'consumed', 'seq'))
return {state, tonumber(lease or 0) < now and 1 or 0, consumed, seq}
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
    """All scripts of sessions, slots and heartbeats, on one client.

    `replicas` must have received a new session, a claim and, where the caller asks for it, what an owner writes.
    """

    def __init__(self, redis: Redis, replicas: int = 0) -> None:
        self.redis = redis
        self.admit = Script(redis, ADMIT, replicas)
        self.claim = Script(redis, _WHEN_FULL + CLAIM, replicas)
        self.renew = Script(redis, _WHEN_FULL + RENEW)
        self.offer = Script(redis, _WHEN_FULL + OFFER)
        self.write = Script(redis, _WHEN_FULL + WRITE, replicas)
        self.erase = Script(redis, _WHEN_FULL + ERASE)
        self.look = Script(redis, _WHEN_FULL + LOOK)
        self.beat = Script(redis, _WHEN_FULL + BEAT)
        self.reserve = Script(redis, slots.RESERVE)
        self.keep = Script(redis, _WHEN_FULL + slots.KEEP)
        self.release = Script(redis, _WHEN_FULL + slots.RELEASE)
        self.rank = Script(redis, _WHEN_FULL + slots.RANK)
        self.count = Script(redis, _WHEN_FULL + slots.COUNT)
