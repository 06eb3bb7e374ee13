"""TLS to Redis and to its Sentinels, with Debian's server: the embedded one has no TLS."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from frontend.cli.checks.check import State
from frontend.cli.checks.service import check_redis
from shared.bus.credentials import check_credentials
from shared.config.sections import RedisSettings
from shared.config.settings import Settings
from shared.errors import StartupError
from tests.certificates import Certificate
from tests.integration.failovers import assert_serves
from tests.stack import Stack, free_ports, listens, wait_until

pytestmark = pytest.mark.skipif(
    not shutil.which("redis-server"),
    reason="redis-server is not installed (Debian and Ubuntu: apt install redis-server)",
)


@pytest.fixture
def url(tmp_path: Path, certificate: Certificate) -> Iterator[str]:
    """A primary and one Sentinel that speak nothing but TLS. Both use their host name, as their certificate does."""
    port, sentinel_port = free_ports(2)
    tls = [
        "port 0",
        "bind 127.0.0.1",
        f"dir {tmp_path}",
        f"tls-cert-file {certificate.path}",
        f"tls-key-file {certificate.key_path}",
        f"tls-ca-cert-file {certificate.path}",
        "tls-auth-clients no",
        "tls-replication yes",
    ]
    watched = [
        "sentinel resolve-hostnames yes",
        "sentinel announce-hostnames yes",
        f"sentinel monitor mymaster localhost {port} 1",
    ]
    (tmp_path / "redis.conf").write_text("\n".join([*tls, f"tls-port {port}", 'save ""']))
    (tmp_path / "sentinel.conf").write_text("\n".join([*tls, f"tls-port {sentinel_port}", *watched]))
    commands = [["redis-server", "redis.conf"], ["redis-server", "sentinel.conf", "--sentinel"]]
    processes = []
    try:
        for command, its_port in zip(commands, (port, sentinel_port), strict=True):
            processes.append(subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL))
            wait_until(lambda its_port=its_port: listens(its_port), f"port {its_port} listens", 20)
        yield f"rediss+sentinel://localhost:{sentinel_port}/mymaster/0?ssl_ca_certs={certificate.path}"
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def test_session_over_tls_to_the_primary(tmp_path: Path, url: str) -> None:
    await assert_serves(Stack(tmp_path, redis={"url": url}))


async def test_sentinel_that_nobody_vouches_for_is_told_nothing(url: str) -> None:
    check = await asyncio.to_thread(check_redis, Settings(redis=RedisSettings(url=url.partition("?")[0])))
    assert check.state is State.BROKEN
    assert "certificate verify failed" in check.detail


def test_node_of_a_cluster_is_rejected(tmp_path: Path) -> None:
    port, bus_port = free_ports(2)
    command = ["redis-server", "--port", str(port), "--cluster-enabled", "yes", "--save", "", "--dir", str(tmp_path)]
    command += ["--cluster-port", str(bus_port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    settings = Settings(redis={"url": f"redis://127.0.0.1:{port}/0"})
    try:
        wait_until(lambda: listens(port), "the node listens", 20)
        with Redis(port=port) as client:
            wait_until(client.ping, "the node answers")
        fault = f"Redis at redis://127.0.0.1:{port}/0 is a node of a Redis Cluster"
        with pytest.raises(StartupError, match=fault):
            check_credentials(settings)
        assert (check_redis(settings).state, check_redis(settings).detail) == (State.BROKEN, fault)
    finally:
        server.kill()
        server.wait()
