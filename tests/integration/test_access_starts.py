"""What is said at a start about keys: by `make run`, by each frontend, and where the list of keys is bad."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from frontend.access.access import Access
from frontend.access.tokens import digest
from shared.bus.connect import connect
from shared.config.settings import Settings
from shared.entry import CANNOT_START
from tests.integration.launcher import Launcher, launcher_in

KEY_LINE = f"- {{name: anna, sha256: {digest('key of anna')}}}"
WARNING = "requires no key"


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    with launcher_in(tmp_path) as launcher:
        yield launcher


@pytest.mark.parametrize(
    ("host", "keys", "warns"),
    [("0.0.0.0", None, True), ("0.0.0.0", KEY_LINE, False), ("127.0.0.1", None, False)],
    ids=["open", "keyed", "loopback"],
)
def test_launcher_warns_where_others_get_in_without_a_key(
    launcher: Launcher, host: str, keys: str | None, warns: bool
) -> None:
    variables = {"VOXTRAL_SERVER__HOST": host} | ({} if keys is None else {"VOXTRAL_ACCESS__KEYS": keys})
    launcher.start(**variables)
    launcher.wait_until_ready()
    assert (WARNING in launcher.out) is warns
    assert (f"the service listens on {host}" in launcher.out) is warns


def test_bad_list_stops_the_launcher_with_one_sentence(launcher: Launcher) -> None:
    (launcher.folder / "keys.yaml").write_text("# ours\n- {name: anna}\n")
    launcher.start(VOXTRAL_ACCESS__KEYS_FILE="keys.yaml")
    assert launcher.end() == CANNOT_START
    (sentence,) = launcher.err.splitlines()
    assert sentence.startswith("The keys file keys.yaml, line 2: 'sha256' is missing; allowed: the 64 hex digits")


@pytest.mark.parametrize(
    ("host", "keys", "warns"), [("0.0.0.0", None, True), ("::", KEY_LINE, False), ("::1", None, False)]
)
async def test_frontend_logs_that_it_is_open(host: str, keys: str | None, warns: bool) -> None:
    settings = Settings(server={"host": host}, access={"keys": keys})
    store = connect(settings)
    with capture_logs() as lines:
        Access(settings, store)
    await store.aclose()
    assert [line["event"] for line in lines] == (["open_to_everyone"] if warns else [])
