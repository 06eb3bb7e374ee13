"""Every Redis key, channel, field and lifetime. No other module builds a name.

The braces are Redis Cluster's hash tag: all keys of one session are on one node, so that one script can
access them together. Names without braces are shared by sessions; see `shared.bus.hash_slots`.
"""

SESSION_TTL_S = 240
"""Keys of a live session outlive the worker that renews them by at least half of this: longer than frontends and
workers wait for an unavailable Redis."""
LEASE_S = 2.0
"""A session whose owner has not renewed for this long may be claimed by another worker."""
RENEW_INTERVAL_S = 0.7
HEARTBEAT_INTERVAL_S = 1.0
HEARTBEAT_TTL_S = 3.5
"""A process that has missed three heartbeats counts as gone."""
CONTROL_TTL_S = 10
"""Messages to a worker are kept for so long after its last heartbeat."""
CANCELLED_TTL_S = 5
"""A cancelled session keeps its state for so long, so that a late message gets the right error."""
LEFT_TTL_S = 600
"""A worker that has left is not shown as missing for so long."""
VOICES_TTL_S = 240
"""The audio of known speakers is deleted by the session's worker, and after this time if no worker does that."""
VOICE_REQUEST_TTL_S = 15
"""The audio and the answer of a request to embed a voice."""
AWAITED_S = 1.0
"""A session whose client is gone keeps its slot for at least this long, even if others wait for it: most clients
reconnect at once."""
TOTALS_TTL_S = 30 * 24 * 3600
"""The service's totals are kept for so long after the last increment."""
BATCH_TTL_S = 3600
"""A process may repeat a batch of increments for so long."""
EVENT_LOG_MAX = 4000
"""Events kept of one session (about 20 minutes of busy speech). Finals are kept whole in `finals`."""

WRITE_PROBE = "voxtral:probe"
"""Written briefly to check whether Redis accepts writes."""
UNERASED = "voxtral:disk:unerased"
"""Sorted set: sessions, and client tokens by their digest → when their keys expire (ms, Redis' clock). The
append-only file may hold them until it is rewritten after that."""
DISK_WATCH = "voxtral:disk:watch"
"""The frontend that requests rewrites of the append-only file."""
WORKERS = "voxtral:workers"
FRONTENDS = "voxtral:frontends"
"""Sorted sets: process id → when its heartbeat expires (ms, Redis' clock)."""
STARTING = "voxtral:starting"
"""The same for workers whose model is not warm yet."""
TOTALS = "voxtral:metrics:{totals}"
"""Hash: counters and histograms of the whole service, see `shared.bus.totals`."""
IDLE_CHANNEL = "voxtral:idle"
"""Pub/sub channel on which nothing is published. Each subscription connection subscribes to it first; the
confirmation means that Redis has all of the connection's channels."""
REPLICATION_MARK = "voxtral:replicas"
"""Pub/sub channel without subscribers. An empty message on it marks the place up to which replicas must have received
the writes of a connection."""
REPORTED = "voxtral:{webhooks}:sessions"
"""Sorted set: sessions with a webhook → when they are looked up again (ms, Redis' clock). See `shared.bus.webhooks`."""
DUE = "voxtral:{webhooks}:due"
"""Sorted set: `{session id}/{seq}` of events for webhooks → when they are sent again (ms, Redis' clock)."""
SENDERS = "voxtral:senders"
"""The same as WORKERS for the processes that send webhooks."""
SESSION_FIELDS = frozenset(
    {
        *("state", "owner", "fence", "lease", "passed", "created", "slots", "protocol", "protocol_oldest"),
        *("options", "resume", "viewer", "key", "opener", "connection", "number"),
        *("seq", "checkpoint", "segment", "committed", "answered", "consumed", "speakers", "revised"),
    }
)
"""The fields of a session's hash: its owner, its tokens and options, and its progress."""


SLOT_MARK = "#"
"""Between the id of a session and the number of a further slot of it."""


def admitted(model: str) -> str:
    """Sorted set of the slots of one model that sessions have: id → when it expires (ms, Redis' clock).

    The first slot of a session has the session's id, further ones (of separate channels) `{id}#1`, `{id}#2`, …
    """
    return f"voxtral:admitted:{_untagged(model)}"


def awaiting(model: str) -> str:
    """Sorted set of the sessions of one model whose clients are gone: id → since when (ms, Redis' clock)."""
    return f"voxtral:awaiting:{_untagged(model)}"


def displaced(session_id: str) -> str:
    """List of the sessions that have lost their slots to this one, until a worker must have claimed it."""
    return f"voxtral:displaced:{session_id}"


def free(model: str) -> str:
    """Sorted set of the workers of one model that accept sessions: id → free slots."""
    return f"voxtral:free:{_untagged(model)}"


def _untagged(model: str) -> str:
    """Braces in the name of a model, which may be a path, would be a hash tag."""
    return model.replace("{", "%7B").replace("}", "%7D")


def of_session(session_id: str) -> tuple[str, str, str, str]:
    """All keys of a session, in the order in which the scripts take them."""
    return session(session_id), audio(session_id), events(session_id), finals(session_id)


def audio(session_id: str) -> str:
    """Stream of PCM and control entries. An entry's id is `{end position in samples}-{n}`."""
    return f"voxtral:{{{session_id}}}:audio"


def events(session_id: str) -> str:
    """Stream of all events. An entry's id is `{seq}-0`, so that no event can be written twice."""
    return f"voxtral:{{{session_id}}}:events"


def finals(session_id: str) -> str:
    """List of the final events, in order. One that was revised has the new text, its own `seq`, and `revised_seq`."""
    return f"voxtral:{{{session_id}}}:finals"


def labels(session_id: str) -> str:
    """List of the events that say who spoke in past finals, in order."""
    return f"voxtral:{{{session_id}}}:labels"


def voices(session_id: str) -> str:
    """Hash: name of a known speaker → a few seconds of PCM, until the session's worker has embedded them."""
    return f"voxtral:{{{session_id}}}:voices"


def webhook(session_id: str) -> str:
    """Hash: the webhook of a session, and the events for it that are not delivered yet. See `shared.bus.webhooks`."""
    return f"voxtral:{{{session_id}}}:webhook"


def voice_request(request_id: str) -> str:
    """PCM of a voice that a worker is asked to embed."""
    return f"voxtral:voice:{{{request_id}}}:request"


def voice_reply(request_id: str) -> str:
    """JSON: the embedding, or why there is none."""
    return f"voxtral:voice:{{{request_id}}}:reply"


def session_of(audio_key: bytes) -> str:
    """The session that an audio stream belongs to."""
    return audio_key[audio_key.index(b"{") + 1 : audio_key.rindex(b"}")].decode()


def session(session_id: str) -> str:
    """Hash: state, owner, fence, lease, seq, the name of the API key that opened it, and what a new owner starts from:
    checkpoint, segment, options, the text that is committed after the checkpoint, the last answered `commit`, and the
    speakers' voices."""
    return f"voxtral:{{{session_id}}}:session"


def opening(session_id: str) -> str:
    """The mark of the connection that opens a session with an id that other connections may present too."""
    return f"voxtral:{{{session_id}}}:opening"


def channel(session_id: str) -> str:
    """Pub/sub channel of the session's events and of its `progress`, which is not logged."""
    return f"voxtral:{{{session_id}}}"


def heartbeat(index: str, process_id: str) -> str:
    """Hash with the last report of a worker or a frontend; `index` is WORKERS, FRONTENDS or STARTING."""
    return f"{index.removesuffix('s')}:{process_id}"


def batch(writer_id: str) -> str:
    """Number of the last batch that one process has added to the totals. On the same node of a Redis Cluster."""
    return f"{TOTALS}:{writer_id}"


def requests_of(name: str) -> str:
    """When the request bucket of the API key of this name is full again (ms, Redis' clock); absent if it is full."""
    return f"voxtral:access:{{{name}}}:requests"


def audio_of(name: str) -> str:
    """The same for its bucket of audio."""
    return f"voxtral:access:{{{name}}}:audio"


def sessions_of(name: str) -> str:
    """Sorted set of the live sessions of the API key of this name: id → when its lease expires (ms, Redis' clock)."""
    return f"voxtral:access:{{{name}}}:sessions"


def client_secrets_of(name: str) -> str:
    """Sorted set of the client tokens of the API key of this name: digest → when it expires (ms, Redis' clock)."""
    return f"voxtral:access:{{{name}}}:secrets"


def client_secret(digest: str) -> str:
    """JSON: the API key that a client token was made with, and the session that it is for. By the token's SHA-256."""
    return f"voxtral:access:secret:{{{digest}}}"


def served(worker_id: str) -> str:
    """JSON: the sessions that a worker serves now, see `shared.bus.operation`."""
    return f"voxtral:worker:{worker_id}:served"


def left(worker_id: str) -> str:
    """Exists for a while after a worker has left on purpose: its heartbeat is then not missing."""
    return f"voxtral:worker:{worker_id}:left"


def write_probe(tag: str) -> str:
    """`WRITE_PROBE`, on a shard of a Redis Cluster one with this tag."""
    return f"voxtral:{{{tag}}}:probe" if tag else WRITE_PROBE


def mark(tag: str) -> str:
    """Written on a shard of a Redis Cluster instead of a message on `REPLICATION_MARK`."""
    return f"voxtral:{{{tag}}}:replicas"


def idle_channel(tag: str) -> str:
    """`IDLE_CHANNEL` of a shard of a Redis Cluster."""
    return f"voxtral:{{{tag}}}:idle"


def control(worker_id: str) -> str:
    """Stream that wakes a worker's reader when a session has joined, left or been cancelled."""
    return f"voxtral:worker:{worker_id}:control"
