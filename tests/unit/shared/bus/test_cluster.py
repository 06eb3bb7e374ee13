"""Which shards a Redis Cluster has by the answers of its nodes, and why it has none."""

from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.bus import keys
from shared.bus.cluster import Cluster, NotClusterError
from shared.bus.hash_slots import HOME, name_in, placed_words, slot_of
from shared.bus.primary import NoPrimaryError
from shared.redis_address import RedisAddress

ADDRESS = RedisAddress.read("redis+cluster://h1,h2,h3")
GONE = RedisConnectionError("Connection refused.")
HALF = 8192


def node(name: str, flags: str, epoch: int, *slots: tuple[int, int], of: str = "-", host: str = "") -> Any:
    address = f"{name}:6379"
    parts = [[str(first), str(last)] for first, last in slots]
    return address, {
        "node_id": name,
        "hostname": host,
        "flags": flags,
        "master_id": of,
        "epoch": str(epoch),
        "slots": parts,
        "connected": True,
    }


FIRST, SECOND = node("a", "master", 1, (0, HALF - 1)), node("b", "myself,master", 2, (HALF, 16383))
REPLICAS = (node("a2", "slave", 1, of="a"), node("b2", "slave", 2, of="b"))
BEFORE = dict([FIRST, SECOND, *REPLICAS])
FAILING = BEFORE | dict([node("a", "master,fail", 1, (0, HALF - 1))])
AFTER = BEFORE | dict([node("a", "master,fail", 1), node("a2", "master", 3, (0, HALF - 1))])


class Node:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def execute_command(self, *_words: str) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def cluster() -> Callable[..., Cluster]:
    def of(*answers: Any) -> Cluster:
        made = Cluster(ADDRESS)
        tell(made, *answers)
        return made

    return of


def tell(cluster: Cluster, *answers: Any) -> None:
    """What the nodes answer from now on, all if only one is given."""
    nodes = [Node(answer) for answer in answers]
    cluster._known = []
    cluster._clients = dict(zip(ADDRESS.nodes, nodes * 3 if len(nodes) == 1 else nodes, strict=False))  # type: ignore[assignment]
    cluster._asked_s = -1


def test_shards_are_the_primaries_with_slots(cluster: Callable[..., Cluster]) -> None:
    found = cluster(BEFORE)
    found.locate()
    assert [shard.node for shard in found.shards] == [("a", 6379), ("b", 6379)]
    assert (found.shard_at(HALF - 1), found.shard_at(HALF)) == found.shards
    assert [found.shard_at(slot_of(f"{{{shard.tag}}}")) for shard in found.shards] == list(found.shards)
    assert found.trouble is None


def test_shard_stays_the_same_when_its_replica_takes_over(cluster: Callable[..., Cluster]) -> None:
    found = cluster(BEFORE)
    found.locate()
    before = found.shards
    tell(found, FAILING)
    found.locate()
    assert (found.shards, before[0].node) == (before, None)
    assert found.trouble == f"{HALF} of 16384 hash slots have no primary now."
    with pytest.raises(NoPrimaryError, match="no failover has ended yet"):
        before[0].find()
    tell(found, AFTER)
    assert (before[0].find(), before[1].find()) == (("a2", 6379), ("b", 6379))
    assert set(found.shards) == set(before)
    assert found.trouble is None


def test_answer_of_the_latest_failover_counts(cluster: Callable[..., Cluster]) -> None:
    """A node that was cut off from the others still names the former primary."""
    found = cluster(BEFORE, AFTER, BEFORE)
    found.locate()
    assert {shard.node for shard in found.shards} == {("a2", 6379), ("b", 6379)}


def test_shard_that_is_added_is_a_new_one(cluster: Callable[..., Cluster]) -> None:
    found = cluster(BEFORE)
    found.locate()
    before = found.shards
    tell(found, dict([node("a", "master", 1, (0, 99)), SECOND, node("c", "master", 9, (100, HALF - 1))]))
    found.locate()
    assert found.shards[:2] == before
    assert found.shard_at(100) is found.shards[2]


def test_node_without_an_address_of_its_own_has_that_which_was_asked(cluster: Callable[..., Cluster]) -> None:
    _, itself = node("a", "myself,master", 1, (0, 16383))
    found = cluster({":6379": itself})
    found.locate()
    assert found.shards[0].node == ("h1", 6379)


def test_host_name_wins_over_the_address(cluster: Callable[..., Cluster]) -> None:
    """Certificates are for host names."""
    found = cluster(dict([node("10.0.0.1", "master", 1, (0, 16383), host="redis-1.example")]))
    found.locate()
    assert found.shards[0].node == ("redis-1.example", 6379)


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (GONE, NoPrimaryError, "No node of the Redis Cluster can be reached (h1:6379: Connection refused; h2:6379: "),
        (AuthenticationError("WRONGPASS"), AuthenticationError, "WRONGPASS"),
        (
            ResponseError("This instance has cluster support disabled"),
            NotClusterError,
            "Redis at h1:6379 is no node of a Redis Cluster.",
        ),
    ],
)
def test_reason_is_one_sentence(
    cluster: Callable[..., Cluster], answer: Exception, kind: type[Exception], sentence: str
) -> None:
    found = cluster(answer)
    with pytest.raises(kind) as raised:
        found.locate()
    assert str(raised.value).startswith(sentence)
    assert found.trouble == str(raised.value)


@pytest.mark.parametrize(
    ("words", "placed", "first"),
    [
        (("GET", "voxtral:a"), ("GET", f"{HOME}:voxtral:a"), "voxtral:a"),
        (("HGET", "voxtral:{s}:session", "owner"), ("HGET", "voxtral:{s}:session", "owner"), "voxtral:{s}:session"),
        (
            ("EVALSHA", "sha", 2, "voxtral:a", "voxtral:b", "voxtral:c"),
            ("EVALSHA", "sha", 2, f"{HOME}:voxtral:a", f"{HOME}:voxtral:b", "voxtral:c"),
            "voxtral:a",
        ),
        (
            ("ZINTERSTORE", "voxtral:a", 2, "voxtral:a", "voxtral:b", "WEIGHTS", 1, 0),
            ("ZINTERSTORE", f"{HOME}:voxtral:a", 2, f"{HOME}:voxtral:a", f"{HOME}:voxtral:b", "WEIGHTS", 1, 0),
            "voxtral:a",
        ),
        (
            ("XREAD", "COUNT", 9, "STREAMS", "voxtral:a", "voxtral:{s}:audio", b"0-0", b"0-0"),
            ("XREAD", "COUNT", 9, "STREAMS", f"{HOME}:voxtral:a", "voxtral:{s}:audio", b"0-0", b"0-0"),
            "voxtral:a",
        ),
        (("TIME",), ("TIME",), HOME),
        (("SSUBSCRIBE", b"voxtral:{s}"), ("SSUBSCRIBE", b"voxtral:{s}"), HOME),
    ],
)
def test_shared_keys_have_the_same_tag(words: tuple[Any, ...], placed: tuple[Any, ...], first: str) -> None:
    assert (tuple(placed_words(words)), name_in(words)) == (placed, first)


def test_shared_keys_have_one_slot_and_so_have_those_of_a_session() -> None:
    shared = (keys.WORKERS, keys.FRONTENDS, keys.UNERASED, keys.admitted("echo"), keys.free("a/b"), keys.control("w"))
    assert len(set(map(slot_of, shared))) == 1
    of_session = (*keys.of_session("s1"), keys.labels("s1"), keys.voices("s1"), keys.channel("s1"))
    assert len(set(map(slot_of, of_session))) == 1
