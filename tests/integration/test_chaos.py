"""A short seeded round of chaos; `make chaos` runs more of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster
from tests.chaos.rounds import judge_cleanliness, run_round


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, retention_s=4, steps_clocks=False)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


async def test_nothing_is_lost_when_a_worker_dies_and_connections_are_cut(cluster: Cluster) -> None:
    await cluster.until_warm()
    outcome = await run_round(cluster, ["kill worker", "cut connections"], sessions=3, seed=5, words=6)
    assert outcome.complaints == []
    assert (outcome.words_lost, outcome.words_doubled) == (0, 0)
    assert outcome.words == 18
    assert await judge_cleanliness(cluster) == []
