"""The two processes that become other programs: the embedded server and Flower."""

import base64
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import redis

from shared.bus.server_binary import server_binary
from shared.config.sections import RedisSettings
from shared.entry import CANNOT_START
from shared.errors import StartupError
from tests.certificates import Certificate
from tests.integration.launcher import command_line
from tests.limits import limit_s
from tests.stack import Stack, listens, wait_until


def run(stack: Stack, module: str, **variables: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=stack.folder,
        env=stack.env | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, err = process.communicate(timeout=limit_s(10))
    return process.returncode, err.decode()


def test_redis_waits_where_another_server_is_named(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    process = run(stack, "compose.redis", REDIS_URL="redis://:sesame@redis.example:1/0")
    wait_until(lambda: "redis_external" in stack.log_text(), "it says that there is nothing to start")
    process.send_signal(signal.SIGTERM)
    status, err = ended(process)
    assert status == 0
    assert "sesame" not in err + stack.log_text()


def test_redis_refuses_a_directory_that_another_server_uses(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    first = run(stack, "compose.redis")
    wait_until(lambda: listens(stack.settings.redis.port), "the first server listens")
    second = run(stack, "compose.redis")
    assert ended(second) == (
        CANNOT_START,
        f"The directory {tmp_path / 'redis'} (redis.data_dir) is in use by a running server.\n",
    )
    first.send_signal(signal.SIGTERM)
    assert ended(first)[0] == 0


def test_redis_never_evicts_and_keeps_what_it_holds(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    half_written = tmp_path / "redis" / "temp-rewriteaof-bg-123.aof"
    half_written.parent.mkdir()
    half_written.write_text("of a server that was killed")
    process = run(stack, "compose.redis")
    wait_until(lambda: listens(stack.settings.redis.port), "the server listens")
    with redis.Redis.from_url(stack.redis_url, decode_responses=True) as client:
        limits = ("maxmemory", "maxmemory-policy", "slowlog-log-slower-than")
        found = client.config_get("bind", "appendonly", "appendfsync", "save", *limits)
    assert found == {
        **{"bind": "127.0.0.1", "appendonly": "yes", "appendfsync": "everysec", "save": ""},
        **{"maxmemory": str(2 * 1024**3), "maxmemory-policy": "noeviction"},
        "slowlog-log-slower-than": "-1",
    }
    assert not half_written.exists()
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0


def test_server_binary_prefers_the_setting(tmp_path: Path) -> None:
    assert server_binary(RedisSettings()).name in {"valkey-server", "redis-server"}
    assert server_binary(RedisSettings(binary=Path("/bin/sh"))) == Path("/bin/sh")
    with pytest.raises(StartupError, match=r"^Setting redis\.binary is '.*', which is not an executable program\.$"):
        server_binary(RedisSettings(binary=tmp_path))


def test_flower_asks_for_the_password_and_shows_no_secret(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    process = run(
        *(stack, "compose.flower"),
        VOXTRAL_FLOWER__BASIC_AUTH="me:sesame,me:x",
        FLOWER_BASIC_AUTH="other:one",
        REDIS_URL="redis://:hidden@127.0.0.1:1/0",
    )
    url = f"http://127.0.0.1:{stack.settings.flower.port}/"
    wait_until(lambda: listens(stack.settings.flower.port), "Flower listens though Redis is not there", 20)
    assert get(url, None) == 401
    assert get(url, "me:sesame,me:x") == 200
    assert get(url, "me:sesame") == get(url, "me:x") == get(url, "other:one") == 401
    assert get(f"{url}metrics", None) == get(f"{url}metrics", "me:wrong") == 401
    assert get(f"{url}metrics", "me:sesame,me:x") == 200
    assert get(f"{url}healthcheck", None) == 200
    assert get(url, "me:sesame,me:x", Host="evil.example") == 403
    assert not any(secret in command_line(process.pid) for secret in ("sesame", "hidden"))
    process.kill()
    ended(process)


def test_flower_with_a_password_speaks_tls_if_the_service_does(tmp_path: Path, certificate: Certificate) -> None:
    stack = Stack(tmp_path, server=certificate.settings, flower={"basic_auth": "me:sesame"})
    process = run(stack, "compose.flower", REDIS_URL="redis://127.0.0.1:1/0")
    port = stack.settings.flower.port
    wait_until(lambda: listens(port), "Flower listens", 20)
    assert get(f"https://localhost:{port}/", "me:sesame", certificate.trust) == 200
    assert get(f"https://localhost:{port}/", None, certificate.trust) == 401
    process.kill()
    ended(process)


def get(url: str, auth: str | None, tls: ssl.SSLContext | None = None, **headers: str) -> int:
    request = urllib.request.Request(url, headers=headers)
    if auth:
        request.add_header("Authorization", f"Basic {base64.b64encode(auth.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=limit_s(5), context=tls) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
