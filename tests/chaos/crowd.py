"""Many clients at the same moment: `python -m tests.chaos.crowd --starts 500 --viewers 1000`.

Simultaneous starts, with slots for all of them and with few; simultaneous viewers; simultaneous uploads;
and a frontend that is killed and restarted while all its clients wait for it. Prints the answers to each group, and
how long its last client waited. `server_busy` is allowed, but not for starts that have a slot each.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect

from tests.bench.figures import machine
from tests.bench.processes import allow_open_files
from tests.integration.native_clients import base64_of, tone
from tests.stack import Stack

PATIENCE_S: Final = 90.0
FEW_SLOTS: Final = 32
ALLOWED: Final = ("ready", "response", "server_busy", "200", "503")


class Crowd:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.sockets: list[tuple[ClientConnection, dict[str, Any]]] = []
        """Data of the sessions that were started."""

    async def start(self, count: int) -> Counter[str]:
        """Start sessions at the same moment; returns the answer to each."""
        return Counter(await asyncio.gather(*(self._start() for _ in range(count))))

    async def watch(self, count: int) -> Counter[str]:
        """View the first session; returns the status of each answer."""
        _, ready = self.sockets[0]
        path = f"/v1/sessions/{ready['session_id']}/events"
        ending = asyncio.Event()
        viewers = [
            asyncio.create_task(_status_of(self._stack, path, ready["viewer_token"], ending)) for _ in range(count)
        ]
        try:
            return Counter(await asyncio.gather(*viewers))
        finally:
            ending.set()

    async def ask(self, count: int) -> Counter[str]:
        """Send recordings of half a second; returns the answer to each."""
        message = json.dumps({"type": "audio", "audio_data": base64_of(tone(0.5))})
        return Counter(await asyncio.gather(*(self._told(message, keep=False) for _ in range(count))))

    async def resume(self) -> Counter[str]:
        """Resume all sessions at the same moment."""
        wanted = [
            json.dumps(
                {"type": "resume", "seq": 1, "session_id": one["session_id"], "resume_token": one["resume_token"]}
            )
            for _, one in self.sockets
        ]
        self.sockets = []
        return Counter(await asyncio.gather(*(self._told(message) for message in wanted)))

    async def speak(self) -> None:
        """A session without audio does not wait for its client."""
        for socket, _ in self.sockets:
            await socket.send(tone(0.1))

    async def leave(self) -> None:
        for socket, _ in self.sockets:
            await socket.send('{"type": "cancel"}')
            await socket.close()
        self.sockets = []

    async def _start(self) -> str:
        return await self._told('{"type": "start"}')

    async def _told(self, message: str, *, keep: bool = True) -> str:
        try:
            socket = await connect(self._stack.ws_url, compression=None, open_timeout=PATIENCE_S)
            await socket.send(message)
            answer = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S))
        except OSError as error:
            return type(error).__name__
        if answer["type"] == "error":
            assert answer["code"] != "server_busy" or answer["retry_after_s"] > 0
            await socket.close()
            return str(answer["code"])
        if keep:
            self.sockets.append((socket, answer))
        else:
            await socket.close()
        return str(answer["type"])


async def _status_of(stack: Stack, path: str, token: str, ending: asyncio.Event) -> str:
    """Stays until `ending` once all have been answered."""
    port = stack.settings.server.http_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    status = (await asyncio.wait_for(reader.readline(), PATIENCE_S)).split()[1].decode()
    waiting = asyncio.create_task(ending.wait())
    waiting.add_done_callback(lambda _: writer.transport.abort())
    return status


async def _timed(what: str, told: Awaitable[Counter[str]], *allowed: str) -> bool:
    """Prints the answers; returns whether each is one of `allowed`, `ALLOWED` if none is named."""
    began_s = time.monotonic()
    counts = await told
    print(f"{what}: {dict(counts)} in {time.monotonic() - began_s:.1f} s", flush=True)
    return set(counts) <= set(allowed or ALLOWED)


async def run(stack: Stack, starts: int, viewers: int) -> bool:
    crowd = Crowd(stack)
    well = [await _timed(f"{starts} starts, a slot for each", crowd.start(starts), "ready")]
    well.append(await _timed(f"{viewers} viewers", crowd.watch(viewers)))
    await crowd.speak()
    stack.stop("websocket", signal.SIGKILL)
    stack.start("websocket")
    well.append(await _timed("the same clients after the frontend was killed", crowd.resume()))
    await crowd.leave()
    well.append(await _timed(f"{starts} recordings", crowd.ask(starts)))
    return all(well)


async def run_few(stack: Stack, starts: int) -> bool:
    crowd = Crowd(stack)
    well = await _timed(f"{starts} starts, {FEW_SLOTS} slots", crowd.start(starts))
    return well and len(crowd.sockets) == FEW_SLOTS


def measure(slots: int, work: Any) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        session = {"claim_timeout_s": PATIENCE_S}  # a slow machine may need longer than the default
        stack = Stack(Path(folder), model={"name": "echo", "slots": slots}, session=session)
        try:
            stack.start()
            return bool(asyncio.run(work(stack)))
        finally:
            stack.stop_all()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=500)
    parser.add_argument("--viewers", type=int, default=1000)
    arguments = parser.parse_args()
    allow_open_files()
    print(machine())
    well = measure(arguments.starts, lambda stack: run(stack, arguments.starts, arguments.viewers))
    well = measure(FEW_SLOTS, lambda stack: run_few(stack, arguments.starts)) and well
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
