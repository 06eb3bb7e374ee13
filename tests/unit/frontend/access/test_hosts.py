"""Which host names a frontend answers to."""

import pytest

from frontend.access.hosts import Hosts
from shared.config.settings import Settings
from shared.errors import ForbiddenError


def hosts(*names: str, host: str = "127.0.0.1") -> Hosts:
    return Hosts(Settings(server={"host": host, "hosts": names}))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8000", "localhost:1", "LOCALHOST", "localhost.", "[::1]", "[::1]:8000"]
)
def test_service_on_loopback_answers_to_this_machine(host: str) -> None:
    hosts().check([host])


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil.example:8000", "127.0.0.1@evil.example", "", "[", "1.2.3.4"],
)
def test_service_on_loopback_answers_to_no_other_name(host: str) -> None:
    with pytest.raises(
        ForbiddenError, match=r"allowed: 127\.0\.0\.1, localhost, \[::1\]\. The setting server\.hosts adds"
    ):
        hosts().check([host])
    with pytest.raises(ForbiddenError):
        hosts().check(["localhost", host])


def test_clients_that_send_no_host_are_no_browsers() -> None:
    hosts().check([])


@pytest.mark.parametrize(
    "host", ["voice.example", "Voice.Example:443", "a.talk.example", "a.b.talk.example", "[fd00::1]"]
)
def test_configured_hosts_are_answered(host: str) -> None:
    hosts("voice.Example", "*.talk.example", "[FD00::1]").check([host])


@pytest.mark.parametrize("host", ["talk.example", "x.voice.example", "nottalk.example"])
def test_configured_hosts_are_whole_names(host: str) -> None:
    with pytest.raises(ForbiddenError, match=r"localhost, \[::1\], voice\.example, \*\.talk\.example\."):
        hosts("voice.example", "*.talk.example").check([host])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.7.7"])
def test_exposed_service_answers_to_any_name_until_some_are_listed(host: str) -> None:
    hosts(host=host).check(["evil.example"])
    hosts("*", host="127.0.0.1").check(["evil.example"])
    listed = hosts("voice.example", host=host)
    listed.check(["localhost:8005"])
    with pytest.raises(ForbiddenError):
        listed.check(["evil.example"])


def test_address_that_is_listened_on_is_answered() -> None:
    hosts("voice.example", host="192.168.7.7").check(["192.168.7.7:8000"])
    hosts(host="127.0.0.2").check(["127.0.0.2"])
