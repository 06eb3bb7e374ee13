"""Small blocking clients of the native protocol, one for each frontend, without any of our own code."""

import base64
import contextlib
import json
import socket
import struct
import wave
from io import BytesIO
from typing import Any, Protocol

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.limits import limit_s
from tests.stack import Stack

TIMEOUT_S = limit_s(15.0)
FRONTENDS = ("websocket", "tcp", "web")


class Client(Protocol):
    def send_text(self, text: str) -> None: ...

    def send_audio(self, audio: bytes) -> None: ...

    def receive(self) -> dict[str, Any] | None:
        """The next message, or None if the connection has ended."""

    @property
    def close_code(self) -> int | None:
        """The close code of a WebSocket that has ended."""

    def close(self) -> None: ...


class WebSocketClient:
    def __init__(self, url: str, **options: Any) -> None:
        self._opened = contextlib.ExitStack()
        self.connection = self._opened.enter_context(
            connect(url, compression=None, max_size=None, open_timeout=TIMEOUT_S, **options)
        )

    def send_text(self, text: str) -> None:
        self.connection.send(text)

    def send_audio(self, audio: bytes) -> None:
        self.connection.send(audio)

    def receive(self) -> dict[str, Any] | None:
        try:
            message = self.connection.recv(TIMEOUT_S)
        except ConnectionClosed:
            return None
        assert isinstance(message, str), "the server sends text only"
        return json.loads(message)

    @property
    def close_code(self) -> int | None:
        return self.connection.close_code

    def close(self) -> None:
        self._opened.close()


class TcpClient:
    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send_text(self, text: str) -> None:
        self.send_audio(text.encode())

    def send_audio(self, audio: bytes) -> None:
        self.socket.sendall(struct.pack("!I", len(audio)) + audio)

    def receive(self) -> dict[str, Any] | None:
        header = self._read(4)
        return json.loads(self._read(*struct.unpack("!I", header))) if header else None

    def _read(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            try:
                piece = self.socket.recv(length - len(received))
            except ConnectionResetError:
                piece = b""
            if not piece:
                assert not received, "the server ended the stream within a frame"
                return b""
            received += piece
        return received

    close_code = None

    def close(self) -> None:
        self.socket.close()


def open_client(stack: Stack, frontend: str, **options: Any) -> Client:
    """`options` are those of a WebSocket's handshake."""
    match frontend:
        case "websocket":
            return WebSocketClient(stack.ws_url, **options)
        case "web":
            return WebSocketClient(stack.web_url.replace("http", "ws", 1) + "/ws", **options)
        case _:
            return TcpClient(stack.tcp_address)


def raw_socket(stack: Stack, frontend: str, receive_buffer_bytes: int | None = None) -> socket.socket:
    """A bare connection; for the WebSocket frontends the handshake is done."""
    ports = {
        "websocket": stack.settings.websocket_port,
        "tcp": stack.settings.tcp_port,
        "web": stack.settings.server.http_port,
    }
    bare = socket.socket()
    bare.settimeout(TIMEOUT_S)
    if receive_buffer_bytes is not None:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    bare.connect(("127.0.0.1", ports[frontend]))
    if frontend != "tcp":
        key = base64.b64encode(bytes(16)).decode()
        bare.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{ports[frontend]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += bare.recv(1)
        assert answer.startswith(b"HTTP/1.1 101")
    return bare


def raw_frame(frontend: str, content: bytes, *, text: bool = True) -> bytes:
    """One message as bytes, masked with zeros if it is for a WebSocket."""
    if frontend == "tcp":
        return struct.pack("!I", len(content)) + content
    opcode = 0x81 if text else 0x82
    if len(content) < 126:
        return bytes((opcode, 0x80 | len(content))) + bytes(4) + content
    return struct.pack("!BBQ", opcode, 0xFF, len(content)) + bytes(4) + content


def ask(client: Client, **message: Any) -> dict[str, Any]:
    """Send a message and read one reply."""
    tell(client, **message)
    reply = client.receive()
    assert reply is not None, "the connection ended instead of a reply"
    return reply


def tell(client: Client, **message: Any) -> None:
    client.send_text(json.dumps(message))


def until(client: Client, kind: str) -> list[dict[str, Any]]:
    """All messages up to the first of this type."""
    messages = []
    while not messages or messages[-1]["type"] != kind:
        message = client.receive()
        assert message is not None, f"the connection ended before {kind}; {messages[-3:]}"
        messages.append(message)
    return messages


def token_of(ready: dict[str, Any]) -> dict[str, str]:
    """The `resume` message for the session of this `ready`."""
    return {"session_id": ready["session_id"], "resume_token": ready["resume_token"]}


def base64_of(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


def tone(duration_s: float) -> bytes:
    """A 440 Hz tone, s16le mono at 16 kHz."""
    times_s = np.arange(round(duration_s * 16_000)) / 16_000
    return np.rint(8000 * np.sin(2 * np.pi * 440 * times_s)).astype("<i2").tobytes()


def wav(duration_s: float) -> bytes:
    content = BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(tone(duration_s))
    return content.getvalue()


def reset(client: Client) -> None:
    """Reset the connection without a close, as a crash does."""
    bare = client.socket if isinstance(client, TcpClient) else client.connection.socket
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        bare.shutdown(socket.SHUT_RD)  # wakes a thread that reads, so that closing really closes
    bare.close()
