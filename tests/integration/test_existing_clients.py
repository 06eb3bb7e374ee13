"""The two clients that exist already, line for line, against a running service."""

import json
import socket
import struct
from typing import Any, Final

from tests.documentation import PROJECT, blocks
from tests.integration.native_clients import base64_of, wav
from tests.integration.node import needs_node, printed_by
from tests.stack import Stack

PYTHON: Final = """
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM); sock.connect((host, 8766))
data = json.dumps({'type': 'audio', 'audio_data': base64_audio, 'mode': 'transcribe'}).encode('utf-8')
sock.send(struct.pack('!I', len(data)) + data)
length = struct.unpack('!I', sock.recv(4))[0]; response = json.loads(sock.recv(length).decode('utf-8'))
"""
CONNECT: Final = "const ws = new WebSocket('ws://host:8765');   // after open:"
SEND: Final = (
    "ws.send(JSON.stringify({type: 'audio', audio_data: base64AudioData, mode: 'transcribe', "
    "prompt: 'Optional prompt text'}));"
)
PRINT: Final = (
    "ws.onmessage = (event) => console.log(JSON.parse(event.data).text);   // the first message is the answer"
)


def test_documentation_shows_both_snippets() -> None:
    page = PROJECT / "docs" / "native-protocol.md"
    snippets = {block.language: block.text for block in reversed(blocks(page))}
    shown = [line.partition("   # ")[0] for line in snippets["python"].splitlines()]
    assert shown == PYTHON.strip().splitlines()
    assert snippets["javascript"].splitlines() == [CONNECT, SEND, PRINT]


def test_the_python_snippet_of_existing_clients(stack: Stack) -> None:
    host, port = stack.tcp_address
    base64_audio = base64_of(wav(1))
    names: dict[str, Any] = {"host": host, "base64_audio": base64_audio}
    exec(PYTHON.replace("8766", str(port)), {"socket": socket, "json": json, "struct": struct}, names)
    names["sock"].close()
    assert names["response"]["text"] == "1 seconds"


@needs_node
def test_the_javascript_snippet_of_existing_clients(stack: Stack) -> None:
    host, port = stack.tcp_address[0], stack.settings.websocket_port
    script = f"const base64AudioData = '{base64_of(wav(1))}';\n"
    script += "\n".join((CONNECT, f"ws.onopen = () => {{ {SEND} }};", PRINT, "")).replace("host:8765", f"{host}:{port}")
    script += "ws.addEventListener('message', () => ws.close()); ws.addEventListener('error', () => process.exit(1));"
    assert printed_by(script) == "1 seconds\n"
