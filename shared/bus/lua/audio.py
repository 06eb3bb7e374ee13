"""The atomic writes of a client's frontend, in Lua: audio, control words, and which connection may write them.

A session's `connection` grows with each `resume`, as its `fence` grows with each owner: later writes of an
older connection's frontend are rejected, so that late audio is never stored twice.
"""

from shared.bus.lua.names import named

# KEYS: session and audio of each track. ARGV: stream length, then of each track: connection, number of entries; of
# each entry: id, the client's number of it or '', number of fields, fields. → indices of the tracks that are rejected
# because a newer connection has the session. An id that already exists was written before. Out of memory, or with a
# full disk, Redis rejects the first write and so all of them: a stream never has a gap.
APPEND = """
local at, refused = 2, {}
for k = 1, #KEYS, 2 do
  local mine = tonumber(redis.call('HGET', KEYS[k], 'connection') or '0') <= tonumber(ARGV[at])
  if not mine then refused[#refused + 1] = (k - 1) / 2 end
  local count = tonumber(ARGV[at + 1])
  at = at + 2
  for _ = 1, count do
    local fields = tonumber(ARGV[at + 2])
    if mine then
      local added = redis.pcall('XADD', KEYS[k + 1], 'NOMKSTREAM', 'MAXLEN', '~', ARGV[1], ARGV[at],
        unpack(ARGV, at + 3, at + 2 + fields))
      if type(added) == 'table' and not string.find(added.err, 'equal or smaller') then return added end
      if added and ARGV[at + 1] ~= ''
          and tonumber(ARGV[at + 1]) > tonumber(redis.call('HGET', KEYS[k], 'number') or '0') then
        redis.call('HSET', KEYS[k], 'number', ARGV[at + 1])
      end
    end
    at = at + 3 + fields
  end
end
return refused
"""

# KEYS: session, audio. ARGV: channel. → connection, id of the `attach` entry or '' if the session has ended, the
# last number of a control message that was written, consumed samples, 1 if the audio is complete; nil if there is no
# session. The last entry that is no attachment says whether it is; up to 64 attachments may follow it.
# It writes only a few bytes, and clients need it to resume: it is allowed when memory is full.
ATTACH = named("""#!lua flags=allow-oom
if redis.call('EXISTS', KEYS[1]) == 0 then return nil end
local connection = redis.call('HINCRBY', KEYS[1], 'connection', 1)
redis.call('PUBLISH', ARGV[1], '$attached_message,"connection":' .. connection .. '}')
local number = redis.call('HGET', KEYS[1], 'number') or '0'
local consumed = redis.call('HGET', KEYS[1], 'consumed') or '0'
if redis.call('EXISTS', KEYS[2]) == 0 then return {connection, '', number, consumed, 1} end
local before, complete = '+', 0
for _ = 1, 64 do
  local last = redis.call('XREVRANGE', KEYS[2], before, '-', 'COUNT', 1)[1]
  if not last then break end
  local field, word = last[2][1], last[2][2]
  if field == '$control_field' and word == '$end' then complete = 1 end
  if field ~= '$control_field' or (word ~= '$attach' and word ~= '$detach') then break end
  before = '(' .. last[1]
end
local position
local info = redis.call('XINFO', 'STREAM', KEYS[2])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then position = string.match(info[i + 1], '^%d+') end
end
local entry = redis.call('XADD', KEYS[2], position .. '-*', '$control_field', '$attach')
return {connection, entry, number, consumed, complete}
""")
