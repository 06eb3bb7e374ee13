"""The names of sessions in an engine: each owner of a session has another one for each of its channels. Pure."""


def handle_of(session_id: str, fence: int, channel: int | None = None) -> str:
    """`channel`: None if the session has one track.

    A worker may lose a session and claim it again: outputs of the first claim must not be attributed to the second.
    """
    handle = f"{session_id}/{fence}"
    return handle if channel is None else f"{handle}/{channel}"


def session_id_of(handle: str) -> str:
    return handle.partition("/")[0]


def without_fence(handle: str) -> str:
    """The session and the channel: the same for each owner."""
    parts = handle.split("/")
    return "/".join([*parts[:1], *parts[2:]])
