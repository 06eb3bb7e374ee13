"""TLS to the nodes of a Redis Cluster, with Debian's server: the embedded one has no TLS."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from frontend.cli.checks.check import State
from frontend.cli.checks.service import check_redis
from shared.config.sections import RedisSettings
from shared.config.settings import Settings
from tests.certificates import Certificate
from tests.integration.failovers import assert_serves
from tests.stack import Stack, free_ports, listens, wait_until

pytestmark = pytest.mark.skipif(
    not shutil.which("redis-server"),
    reason="redis-server is not installed (Debian and Ubuntu: apt install redis-server)",
)


@pytest.fixture
def url(tmp_path: Path, certificate: Certificate) -> Iterator[str]:
    """A cluster of one node that speaks nothing but TLS, and announces its host name, as its certificate has it."""
    port, bus_port = free_ports(2)
    lines = [
        "port 0",
        f"tls-port {port}",
        "bind 127.0.0.1",
        f"dir {tmp_path}",
        'save ""',
        f"tls-cert-file {certificate.path}",
        f"tls-key-file {certificate.key_path}",
        f"tls-ca-cert-file {certificate.path}",
        "tls-auth-clients no",
        "tls-cluster yes",
        "cluster-enabled yes",
        f"cluster-port {bus_port}",
        "cluster-announce-hostname localhost",
    ]
    (tmp_path / "redis.conf").write_text("\n".join(lines))
    node = subprocess.Popen(["redis-server", "redis.conf"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port), "the node listens", 20)
        with Redis(host="localhost", port=port, ssl=True, ssl_ca_certs=str(certificate.path)) as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", "it has all slots", 20)
        yield f"rediss+cluster://localhost:{port}?ssl_ca_certs={certificate.path}"
    finally:
        node.kill()
        node.wait()


async def test_session_over_tls_to_the_cluster(tmp_path: Path, url: str, server: Stack) -> None:
    await assert_serves(Stack(tmp_path, redis={"url": url, "broker_url": server.redis_url}))
    distrusting = RedisSettings(url=url.partition("?")[0], broker_url=server.redis_url)
    check = await asyncio.to_thread(check_redis, Settings(redis=distrusting))
    assert check.state is State.BROKEN
    assert "certificate verify failed" in check.detail
