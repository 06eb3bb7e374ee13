"""websockets still has what `frontend.servers.transports` and `frontend.servers.websocket_frames` rely on."""

from websockets.asyncio.server import ServerConnection
from websockets.server import ServerProtocol

from tests.internals import Canary

canary = Canary("websockets", "frontend/servers/transports.py")


def test_connection_hands_its_bytes_to_a_protocol() -> None:
    canary.takes(ServerConnection.data_received, "self", "data")
    canary.takes(ServerConnection.connection_lost, "self", "exc")
    canary.calls(ServerConnection.data_received, "protocol", "receive_data")
    canary.has(ServerProtocol(), "state", "close_rcvd", "close_rcvd_then_sent", "parser_exc")
