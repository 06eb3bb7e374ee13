"""The Helm chart, rendered by Helm for several sets of values."""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import yaml

from tests.stack import PROJECT

CHART: Final = PROJECT / "compose/helm"
RELEASE: Final = "voxtral"
NAMESPACE: Final = "speech"
VALUES: Final[dict[str, Any]] = yaml.safe_load((CHART / "values.yaml").read_text())
SOMEONE: Final = {"podSelector": {"matchLabels": {"app": "shop"}}}
EVERYTHING: Final[dict[str, Any]] = {
    "image": {"repository": "registry.example/voxtral", "tag": "1"},
    "imagePullSecrets": [{"name": "registry"}],
    "redis": {"url": "redis+cluster://r1,r2,r3", "brokerUrl": "redis+sentinel://s1,s2/mymaster"},
    "keys": {"list": "- name: shop\n  sha256: 0123\n- name: ops\n  sha256: 4567\n"},
    "extraEnv": [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}],
    "listenOn": "::",
    "tls": {"secretName": "internal-tls"},
    "config": {
        "server": {"hosts": ["voice.example"], "max_message_bytes": 100_000_000, "recording_urls": True},
        "session": {"drain_timeout_s": 59.5},
        "tracing": {"otlp_endpoint": "http://collector:4318/v1/traces"},
    },
    "tcp": {"service": {"type": "LoadBalancer", "annotations": {"example/internal": "true"}}},
    "flower": {"enabled": True, "existingSecret": "flower"},
    "webhooks": {"enabled": True, "existingSecret": "webhooks"},
    "worker": {
        "image": {"repository": "registry.example/voxtral-gpu", "tag": "1"},
        "gpu": {"count": 1, "runtimeClassName": "nvidia"},
        "nodeSelector": {"gpu": "l4"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "successorSeconds": 300,
        "maxSurge": 0,
        "modelCache": {"enabled": True, "storageClassName": "nfs"},
        "autoscaling": {"enabled": True, "maxReplicas": 8, "authenticationRef": "prometheus"},
    },
    "ingress": {"enabled": True, "websocketHost": "ws.voice.example"},
    "networkPolicy": {
        "clients": [SOMEONE],
        "redisPorts": [6379, 26379],
        "egress": [{"to": [SOMEONE], "ports": [{"port": 4318}]}],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
}
SETS: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "gpu": yaml.safe_load((CHART / "values-gpu.yaml").read_text()),
    "everything": EVERYTHING,
    "another model": {  # only workers, beside another release
        **{name: {"enabled": False} for name in ("web", "websocket", "tcp", "health")},
        "config": {"model": {"name": "whisper-large-v3-turbo"}},
    },
}
EXISTING: Final = {"voxtral-redis", "voice-example-tls", "internal-tls", "flower", "webhooks", "registry", "hub"}
"""The Secrets that these values name."""

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rendering:
    """The manifests of one set of values."""

    manifests: tuple[Manifest, ...]
    notes: str
    lint: dict[str, Any]

    def of(self, kind: str) -> dict[str, Manifest]:
        """The manifests of a kind, by name."""
        return {found["metadata"]["name"]: found for found in self.manifests if found["kind"] == kind}

    def pod(self, process: str) -> Manifest:
        """The specification of the pods of a process."""
        pod: Manifest = self.of("Deployment")[f"{RELEASE}-{process}"]["spec"]["template"]["spec"]
        return pod

    def container(self, process: str) -> Manifest:
        [container] = self.pod(process)["containers"]
        return dict(container)

    @property
    def processes(self) -> list[str]:
        return [name.removeprefix(f"{RELEASE}-") for name in self.of("Deployment")]


@cache
def renderings() -> dict[str, Rendering]:
    """The chart with each of `SETS`."""
    return {name: _rendering(answer) for name, answer in zip(SETS, helm(list(SETS.values())), strict=True)}


def rendering(name: str) -> Rendering:
    return renderings()[name]


def helm(sets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `tests.helm` answers about these values."""
    command = [sys.executable, "-m", "tests.helm"]
    done = subprocess.run(command, cwd=PROJECT, input=json.dumps(sets), capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def _rendering(answer: dict[str, Any]) -> Rendering:
    assert "error" not in answer, answer["error"]
    manifests: list[Manifest] = []
    notes = ""
    for path, text in answer["rendered"].items():
        if path.endswith("NOTES.txt"):
            notes = text
        elif not path.endswith(".tpl"):
            manifests += [found for found in yaml.safe_load_all(text) if found is not None]
    return Rendering(tuple(manifests), notes, answer["lint"])
