"""Reading `REDIS_URL`: one server or Sentinels, their passwords, and what is wrong with a bad one."""

import pytest

from shared.config.wording import ExplainedError
from shared.redis_address import RedisAddress


def test_one_server() -> None:
    address = RedisAddress.read("rediss://anna:pw@host/2?ssl_ca_certs=/ca.pem")
    assert (address.is_sentinel, address.has_tls, address.nodes, address.db) == (False, True, (("host", 6379),), 2)
    assert address.url_of(("host", 6379)) == "rediss://anna:pw@host:6379/2?ssl_ca_certs=%2Fca.pem"


def test_sentinels_with_passwords_of_both() -> None:
    address = RedisAddress.read(
        "redis+sentinel://anna:p%2Fw@h1,[::1]:7/my-master/3?sentinel_username=eva&sentinel_password=s%40me&protocol=2"
    )
    assert address.nodes == (("h1", 26379), ("::1", 7))
    assert (address.service, address.db, address.has_tls) == ("my-master", 3, False)
    assert address.url_of(("10.0.0.1", 6379)) == "redis://anna:p%2Fw@10.0.0.1:6379/3?protocol=2"
    assert address.sentinel_url_of(("::1", 7)) == "redis://eva:s%40me@[::1]:7/0"
    assert not {"p%2Fw", "s%40me", "s@me"} & set(repr(address).replace("'", " ").split())


def test_sentinels_have_the_same_certificates() -> None:
    address = RedisAddress.read("rediss+sentinel://h1/m?ssl_ca_certs=/ca.pem&health_check_interval=9")
    assert address.sentinel_url_of(("h1", 1)) == "rediss://h1:1/0?ssl_ca_certs=%2Fca.pem"
    assert address.tls_options == {"ssl_ca_certs": "/ca.pem"}


def test_nodes_of_a_cluster() -> None:
    address = RedisAddress.read("rediss+cluster://anna:p%2Fw@h1,[::1]:7,h2?ssl_ca_certs=/ca.pem")
    assert address.nodes == (("h1", 6379), ("::1", 7), ("h2", 6379))
    assert (address.is_cluster, address.is_sentinel, address.has_tls, address.db) == (True, False, True, 0)
    assert address.url_of(("::1", 7)) == "rediss://anna:p%2Fw@[::1]:7/0?ssl_ca_certs=%2Fca.pem"
    assert address.shown == "rediss+cluster://h1,[::1]:7,h2"


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        (
            "host:6379",
            "it does not begin with redis://, rediss://, redis+sentinel://, rediss+sentinel://, redis+cluster://, "
            "rediss+cluster://",
        ),
        ("redis://", "it has no host, or a port that is not a number"),
        ("redis://h:0", "it has a port that is not from 1 to 65535"),
        ("redis://h1,h2/0", "it names several hosts, which only redis+sentinel:// and redis+cluster:// may"),
        ("redis://h/zero", "its database is not a number"),
        ("redis+sentinel://h1,h2", "it names no service after the Sentinels, such as /mymaster"),
        ("redis+sentinel://h1,h2/0", "it names no service after the Sentinels, such as /mymaster"),
        ("redis+sentinel://h1,,h2/m", "it has no host, or a port that is not a number"),
        ("redis+sentinel://h1/m?sentinel_username=eva", "it has a sentinel_username without a sentinel_password"),
        ("redis+cluster://h1/2", "it has a database, but a Redis Cluster has only number 0"),
        ("redis+cluster://h1?sentinel_password=sesame", "it has a password for Sentinels, but it names none"),
        ("redis://h1/0?sentinel_password=sesame", "it has a password for Sentinels, but it names none"),
    ],
)
def test_fault_is_said_without_the_url(url: str, fault: str) -> None:
    with pytest.raises(ExplainedError) as raised:
        RedisAddress.read(url)
    assert str(raised.value) == fault
