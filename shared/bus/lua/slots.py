"""What the sessions of a model share, in Lua: who holds its slots, and how many are free at each worker.

All keys of these scripts are shared by many sessions. On a Redis Cluster they are on another node than a session's own,
so no script touches both: `shared.bus.moves` says in which order they run, and what a crash between them leaves behind.

Each of these scripts may be repeated. The time is Redis' own.
"""

from shared.bus.lua.names import NOW, named

_SLOTS = "local function slots_of(id) local mark = id .. '$slot_mark'; return id, mark .. 1, mark .. 2, mark .. 3 end\n"
"""The members that a session may have in the set of admitted ones: one for each slot. See `keys.admitted`."""

BEST = 0
"""Returned by `rank`: no other worker of the model has more free slots. They have been counted as taken."""
OTHERS_FREER = 1
"""Returned by `rank` if another worker has more free slots."""
OTHERS_FIT = 2
"""Returned by `rank` if the slots of the worker are too few, and another one has enough."""
NONE_FITS = 3
"""The same if no other one has enough either."""

# KEYS: admitted, unerased, awaiting, free, displaced.
# ARGV: session id, capacity, claim ms, ttl s, awaited ms, number of slots that the session needs.
# → 0 if too few slots are free (several must be free at one worker), 1, or a list of the sessions that lost their slots
# to this one: those whose clients have been gone for the longest time, and for at least `awaited ms`. A repetition has
# the same answer.
# The set of admitted sessions expires with its last member, so nothing is left of a model that is gone.
RESERVE = named(
    NOW
    + _SLOTS
    + """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  local displaced = redis.call('LRANGE', KEYS[5], 0, -1)
  return #displaced > 0 and displaced or 1
end
redis.call('DEL', KEYS[5])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local given, slots = 1, tonumber(ARGV[6])
local missing = redis.call('ZCARD', KEYS[1]) + slots - tonumber(ARGV[2])
if missing > 0 then
  local losers = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[5]))) do
    local held = 0
    for _, score in ipairs(redis.call('ZMSCORE', KEYS[1], slots_of(id))) do if score then held = held + 1 end end
    if held > 0 then
      losers[#losers + 1] = id
      missing = missing - held
      if missing <= 0 then break end
    else
      redis.call('ZREM', KEYS[3], id)
    end
  end
  if missing > 0 then return 0 end
  for _, id in ipairs(losers) do
    redis.call('ZREM', KEYS[3], id)
    redis.call('ZREM', KEYS[1], slots_of(id))
    redis.call('RPUSH', KEYS[5], id)
  end
  redis.call('PEXPIRE', KEYS[5], ARGV[3])
  given = losers
elseif slots > 1 and redis.call('ZCOUNT', KEYS[4], slots, '+inf') == 0 then
  return 0
end
for i = 1, slots do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), (select(i, slots_of(ARGV[1])))) end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
redis.call('ZADD', KEYS[2], now + ARGV[4] * 1000, ARGV[1])
return given
"""
)

# KEYS: admitted, awaiting.
# ARGV: admitted ms, ttl s, then of each session: its id, for how many ms its client has been gone ('': it is
# connected), number of its slots.
KEEP = named(
    NOW
    + _SLOTS
    + """
local admitted = tonumber(ARGV[1])
for at = 3, #ARGV, 3 do
  local id, gone = ARGV[at], ARGV[at + 1]
  for i = 1, tonumber(ARGV[at + 2]) do redis.call('ZADD', KEYS[1], now + admitted, (select(i, slots_of(id)))) end
  if gone == '' then
    redis.call('ZREM', KEYS[2], id)
  else
    redis.call('ZADD', KEYS[2], 'NX', now - tonumber(gone), id)
    redis.call('EXPIRE', KEYS[2], ARGV[2])
  end
end
if redis.call('PTTL', KEYS[1]) < admitted then redis.call('PEXPIRE', KEYS[1], admitted) end
"""
)

# KEYS: admitted, awaiting, free, unerased.
# ARGV: session id, worker id ('' if it has no owner), number of its slots, for how many s its keys are kept.
# Only if the session still has a slot is it counted as free at the worker, so a repetition counts nothing twice.
RELEASE = named(
    NOW
    + _SLOTS
    + """
local id, worker = ARGV[1], ARGV[2]
redis.call('ZREM', KEYS[2], id)
redis.call('ZADD', KEYS[4], now + ARGV[4] * 1000, id)
if redis.call('ZREM', KEYS[1], slots_of(id)) > 0 and worker ~= '' and redis.call('ZSCORE', KEYS[3], worker) then
  redis.call('ZINCRBY', KEYS[3], ARGV[3], worker)
end
"""
)

# KEYS: free, workers. ARGV: worker id, number of slots that a session needs, free slots of the worker or ''.
# → how the worker stands among those of its model (see above), and how many these are
RANK = named(
    NOW
    + """
local me, slots, room = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local function lives(other) return other ~= me and tonumber(redis.call('ZSCORE', KEYS[2], other) or 0) > now end
local count = redis.call('ZCARD', KEYS[1])
if room ~= '' and tonumber(room) < slots then
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], slots, '+inf')) do
    if lives(other) then return {$others_fit, count} end
  end
  return {$none_fits, count}
end
local mine = redis.call('ZSCORE', KEYS[1], me)
if mine then
  for _, other in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '(' .. mine)) do
    if lives(other) then return {$others_freer, count} end
  end
  redis.call('ZINCRBY', KEYS[1], -slots, me)
end
return {$best, count}
""",
    best=BEST,
    others_freer=OTHERS_FREER,
    others_fit=OTHERS_FIT,
    none_fits=NONE_FITS,
)

# KEYS: free. ARGV: worker id, by how many slots its number changes. The next heartbeat of the worker sets it anew.
COUNT = """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then redis.call('ZINCRBY', KEYS[1], ARGV[2], ARGV[1]) end
"""

# KEYS: unerased. ARGV: name, for how many ms its keys are kept
NOTE = (
    NOW
    + """
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
"""
)
