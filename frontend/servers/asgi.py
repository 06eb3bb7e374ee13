"""Parts of ASGI responses that several routes use."""

from starlette.types import Message, Receive


def stream_start() -> Message:
    """The start of a response of server-sent events, as an ASGI message. Middleware adds to it."""
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),  # otherwise nginx buffers events
    ]
    return {"type": "http.response.start", "status": 200, "headers": headers}


async def client_left(receive: Receive) -> None:
    """Returns when the client of a request, whose body has been read, has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
