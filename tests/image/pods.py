"""Starts the pods of the Helm chart from the image, as a node of Kubernetes does, and replaces a worker.

The command, variables, configuration, user and probes of each container are those of the rendered manifests. Ports
differ, because all pods share this machine's network.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from openai import OpenAI
from websockets.sync.client import ClientConnection, connect

from tests.helm.chart import RELEASE, rendering
from tests.image.build import Image, sandbox
from tests.stack import free_ports

START_S: Final = 120.0
SECOND: Final = bytes(32_000)
CHART: Final = rendering("default")


class Pod:
    """A running container of the chart."""

    def __init__(self, image: Image, process: str, host: str, folder: Path, variables: dict[str, str]) -> None:
        self.container = CHART.container(process)
        own = {one["name"]: one.get("value", "") for one in self.container["env"]}
        writable = [part for path in ("/data", "/tmp") for part in ("--perms", "1777", "--tmpfs", path)]
        options = ["--unshare-uts", "--hostname", host, "--ro-bind", str(folder), "/etc/voxtral", *writable]
        self._enter = sandbox(replace(image, env=image.env | own | variables), writable=(), options=options)
        self._process = subprocess.Popen([*self._enter, *self.container["command"]])

    def run(self, command: list[str]) -> "subprocess.Popen[bytes]":
        """Start another command in a container like this one, with its host name."""
        return subprocess.Popen([*self._enter, *command])

    def passes(self, probe: str, port: int) -> bool:
        assert self._process.poll() is None, f"{self.container['name']} has ended."
        found: dict[str, Any] = self.container[probe]
        if "exec" in found:
            return self.run(found["exec"]["command"]).wait() == 0
        if "tcpSocket" in found:
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) == 0
        wanted = found["httpGet"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request(
                "GET", wanted["path"], headers={one["name"]: one["value"] for one in wanted["httpHeaders"]}
            )
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit status after a signal to the process itself: bubblewrap and its own first process are above it."""
        pid = self._process.pid
        for _ in range(2):
            pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        os.kill(pid, number)
        return self._process.wait(60)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def check(image: Image, folder: Path, speech: bytes, heard: Callable[[str], None]) -> None:
    """Transcribe through the pods, and again after one worker has replaced the other under a live session."""
    folder.mkdir()
    (folder / "config.yaml").write_text(CHART.of("ConfigMap")[RELEASE]["data"]["config.yaml"])
    (image.root / "etc/voxtral").mkdir()  # a container's runtime makes the places of its volumes
    web, health, websocket, tcp, redis = free_ports(5)
    ports = {"web": web, "health": health, "websocket": websocket, "tcp": tcp, "worker": 0}
    variables = {
        "VOXTRAL_SERVER__HTTP_PORT": str(web),
        "VOXTRAL_SERVER__HEALTH_PORT": str(health),
        "VOXTRAL_SERVER__TCP_PORTS": f"[{websocket}, {tcp}]",
        "REDIS_URL": f"redis://127.0.0.1:{redis}/0",
    }
    with_redis = replace(image, env=image.env | {"VOXTRAL_REDIS__PORT": str(redis)})
    server = subprocess.Popen([*sandbox(with_redis, writable=("/data",)), "python", "-m", "compose.redis"])
    pods = {name: Pod(image, name, f"{name}-0", folder, variables) for name in ports}
    try:
        for name, pod in pods.items():
            _until(lambda pod=pod, name=name: pod.passes("startupProbe", ports[name]), f"{name} has started")
            _until(lambda pod=pod, name=name: pod.passes("livenessProbe", ports[name]), f"{name} is alive")
        client = OpenAI(base_url=f"http://127.0.0.1:{web}/v1", api_key="none")
        _transcribe(client, speech, heard)
        with connect(f"ws://127.0.0.1:{websocket}") as session:
            session.send('{"type": "start", "sample_rate": 16000, "encoding": "pcm_s16le"}')
            session.send(SECOND)
            _await(session, "ready")
            waiting = pods["worker"].run(pods["worker"].container["lifecycle"]["preStop"]["exec"]["command"])
            successor = Pod(image, "worker", "worker-1", folder, variables)
            pods["worker-1"] = successor
            assert waiting.poll() is None, "There was no other worker to wait for."
            assert waiting.wait(START_S) == 0
            assert pods.pop("worker").stop() == 0
            session.send(SECOND)
            session.send('{"type": "stop"}')
            _await(session, "done")
        _transcribe(client, speech, heard)
        print("A worker's pod was replaced under a live session.", flush=True)
        for name in ("worker-1", "web", "websocket", "tcp", "health"):
            assert pods.pop(name).stop() == 0, name
    finally:
        for pod in pods.values():
            pod.kill()
        server.kill()
        server.wait()


def _transcribe(client: OpenAI, speech: bytes, heard: Callable[[str], None]) -> None:
    heard(client.audio.transcriptions.create(model="whisper-1", file=("speech.wav", speech)).text)


def _await(session: ClientConnection, kind: str) -> None:
    """Receive messages until one of this kind; an error fails."""
    while (message := json.loads(session.recv(timeout=60)))["type"] != kind:
        assert message["type"] != "error", message


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < deadline_s, f"Not in time: {what}."
        time.sleep(0.5)
    print(f"{what}: yes", flush=True)
