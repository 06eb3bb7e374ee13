"""`WS /v1/telephony/twilio` and `/telnyx`: the audio of calls; `GET /v1/telephony/{service}/streams/{stream_id}`: the
session of a stream.

Telephone services present no key but a proof of their own, so the gate of `/v1` does not check these WebSockets. Their
sessions belong to the key that `access.protocol_keys` names, and only that key may ask for them.

The id and the tokens of a session are computed from the id of its stream and the secret that the service knows. So they
are found without being stored.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Request, WebSocket

from frontend.access.access import Access
from frontend.access.session_tokens import SessionIdentity, identity_of, viewer_token
from frontend.access.stream_secrets import check_telnyx, check_twilio
from frontend.api.authentication import principal_of
from frontend.api.logged_call import LoggedCall
from frontend.api.openapi import documents
from frontend.connections.connections import Connections
from frontend.protocols.telephony import telnyx, twilio
from frontend.protocols.telephony.call import MAX_ID_CHARS, Call
from frontend.protocols.telephony.call_stream import CallStream
from frontend.servers.transports import StarletteTransport
from frontend.viewers.viewers import Viewers
from shared.config.sections import TELEPHONY, ForeignProtocol
from shared.config.settings import Settings
from shared.errors import ForbiddenError, SessionExpiredError, SessionUnknownError, shown

PREFIX: Final = "/v1/telephony"
MAX_MESSAGE_BYTES: Final = 64 * 1024
"""A packet has 20 ms of audio, which are 160 bytes."""

ServiceName = Annotated[Literal["twilio", "telnyx"], Path(description="The service.", examples=["twilio"])]
StreamId = Annotated[
    str,
    Path(
        description="Twilio's `StreamSid`, Telnyx's `stream_id`.",
        examples=["MZ0123456789abcdef0123456789abcdef"],
        max_length=MAX_ID_CHARS,
    ),
]


class _Service:
    """One telephone service that is configured."""

    def __init__(self, protocol: ForeignProtocol, settings: Settings) -> None:
        """Raises StartupError without the secret of the service."""
        self.protocol = protocol
        self._secret = settings.telephony_secret(protocol)
        self._url = settings.telephony.twilio_url

    def identity(self, stream_id: str) -> SessionIdentity:
        return identity_of(self._secret, f"{self.protocol} {stream_id}")

    def check(self, websocket: WebSocket) -> None:
        """Raise UnauthorizedError unless the handshake comes from the service."""
        if self.protocol is ForeignProtocol.TWILIO:
            check_twilio(websocket, self._secret, self._url)
        else:
            check_telnyx(websocket, self._secret)

    def stream(self, websocket: WebSocket) -> CallStream:
        parse: Callable[[dict[str, Any]], Call] = twilio.parse_start
        if self.protocol is ForeignProtocol.TELNYX:
            parse = partial(telnyx.parse_start, query=dict(websocket.query_params))
        return CallStream(parse, self.identity)


def routes(settings: Settings, connections: Connections, viewers: Viewers, access: Access) -> APIRouter:
    """The addresses of the services in `server.protocols`. Raises StartupError if the secret of one is not set."""
    router = APIRouter(prefix=PREFIX)
    services = {one: _Service(one, settings) for one in TELEPHONY if one in settings.server.protocols}

    async def serve(service: _Service, websocket: WebSocket) -> None:
        service.check(websocket)
        principal = access.identify_protocol(service.protocol)
        await access.take_request(principal)
        transport = StarletteTransport(websocket)
        transport.restrict(MAX_MESSAGE_BYTES)
        await websocket.accept()
        stream = service.stream(websocket)
        await connections.serve(transport, LoggedCall(stream, service.protocol), principal, at_end=stream.end)

    for one in services.values():
        router.add_api_websocket_route(f"/{one.protocol}", partial(serve, one))
    if not services:
        return router

    @router.head("/{service}/streams/{stream_id}", include_in_schema=False, response_model=None)
    @router.get("/{service}/streams/{stream_id}", **documents.CALL_STREAM)
    async def session(request: Request, service: ServiceName, stream_id: StreamId) -> dict[str, Any]:
        """The session of a stream, with the token of its viewers, during the call and for `session.retention_s` after
        it."""
        protocol = ForeignProtocol(service)
        if protocol not in services:
            raise _unknown(stream_id)
        principal = principal_of(request)
        if principal.is_client_token:
            raise ForbiddenError("A client token cannot ask for the sessions of calls; use the key.")
        if principal.name != access.identify_protocol(protocol).name:
            raise _unknown(stream_id)
        identity = services[protocol].identity(stream_id)
        token = viewer_token(identity.resume_token)
        try:
            await viewers.standing(identity.session_id, token)
        except (SessionUnknownError, SessionExpiredError):
            raise _unknown(stream_id) from None
        return {"session_id": identity.session_id, "viewer_token": token}

    return router


def _unknown(stream_id: str) -> SessionUnknownError:
    return SessionUnknownError(f"No session of this key has the stream {shown(stream_id)}, or it ended too long ago.")
