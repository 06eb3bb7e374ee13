"""Lists of keys as people write them, where clients put keys, and tokens."""

import time
from pathlib import Path

import pytest

from frontend.access.credentials import chosen_subprotocol, presented_key
from frontend.access.key_list import is_expired, joined, parse_keys
from frontend.access.key_source import KeySource
from frontend.access.origins import is_allowed_origin
from frontend.access.tokens import digest, matches, new_token
from shared.config.sections import AccessSettings
from shared.config.settings import Settings
from shared.errors import StartupError
from tests.keys import KeyList

HASH = "a" * 64


def test_line_of_a_list_becomes_a_key_with_its_limits() -> None:
    line = f"- {{name: anna, sha256: {HASH}, expires: 2030-01-31T12:00:00Z, sessions: 2, audio_s_per_minute: 240}}"
    (key,) = parse_keys(line, "keys.yaml")
    assert (key.name, key.digest, key.expires_at_s) == ("anna", HASH, 1896091200)
    assert (key.limits.sessions, key.limits.audio_s_per_minute, key.limits.upload_bytes) == (2, 240, None)
    assert HASH not in repr(key)


def test_hash_of_digits_is_no_number() -> None:
    digits = "1" * 63 + "e"
    assert parse_keys(f"- {{name: '1', sha256: {digits}}}", "keys.yaml")[0].digest == digits


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "keys.yaml is empty; write [] for a list without keys, which admits no client."),
        ("anna: 1", "keys.yaml is not a list; allowed: lines such as `- {name: anna, sha256: …}`."),
        ("- [", "keys.yaml, line 1 is not YAML: "),
        ("- {name: a\x00}", "keys.yaml is not YAML: it contains characters that YAML does not allow."),
        ('- "\\U00110000"', "keys.yaml is not YAML: it contains characters that YAML does not allow."),
        ("[" * 3000 + "]" * 3000, "keys.yaml is not a list of keys: it is nested too deeply."),
        ("# keys\n- anna", "keys.yaml, line 2 is not a key; "),
        (f"\n- {{name: an na, sha256: {HASH}}}", "keys.yaml, line 2: 'name' is 'an na'; allowed: 1 to 64 letters"),
        (f"- {{sha256: {HASH}}}", "keys.yaml, line 1: 'name' is missing; "),
        ("- {name: anna, sha256: vox_secret}", "keys.yaml, line 1: 'sha256' is not a SHA-256; "),
        (
            f"- {{name: a, sha256: {HASH}, session: 1}}",
            "'session' is unknown; allowed: the fields name, sha256, expires",
        ),
        (f"- {{name: a, sha256: {HASH}, sessions: 0}}", "'sessions' is '0'; allowed: a whole number from 1 to 1000000"),
        (f"- {{name: a, sha256: {HASH}, sessions: many}}", "'sessions' is 'many'; "),
        (f"- {{name: a, sha256: {HASH}, sessions: [1]}}", "'sessions' is a list or a mapping; allowed: one value."),
        (f"- {{name: a, name: b, sha256: {HASH}}}", "'name' is given twice; "),
        (f"- {{name: a, sha256: {HASH}, expires: soon}}", "'expires' is 'soon'; allowed: a time such as 2027-01-31"),
        (f"-\n  name: a\n  sha256: {HASH}\n  expires: x", "keys.yaml, line 4: 'expires' is 'x'; "),
    ],
)
def test_bad_list_is_told_by_line_and_field(text: str, complaint: str) -> None:
    with pytest.raises(StartupError) as refused:
        parse_keys(text, "keys.yaml")
    assert complaint in str(refused.value)
    assert "vox_secret" not in str(refused.value)


@pytest.mark.parametrize("second", [f"- {{name: a, sha256: {'b' * 64}}}", f"- {{name: b, sha256: {HASH}}}"])
def test_names_and_hashes_are_listed_once(second: str) -> None:
    with pytest.raises(StartupError, match=r"Two keys have the name 'a'|has the sha256 of another"):
        joined(parse_keys(f"- {{name: a, sha256: {HASH}}}\n{second}", "keys.yaml"))


def test_ring_finds_a_key_by_itself_only() -> None:
    token = new_token("vox_")
    ring = joined(parse_keys(f"- {{name: a, sha256: {digest(token)}}}\n- {{name: b, sha256: {HASH}}}", "keys.yaml"))
    found = ring.find(token)
    assert found is not None
    assert found.name == "a"
    for wrong in ("", token[:-1], token + "x", digest(token), "x" * 100_000, "\udc80"):
        assert ring.find(wrong) is None
    assert ring.current(found) is found
    assert joined(parse_keys(f"- {{name: a, sha256: {HASH}}}", "keys.yaml")).current(found) is None


def test_key_expires() -> None:
    later, earlier = time.time() + 60, time.time() - 60
    for moment, expected in ((later, False), (earlier, True)):
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
        assert is_expired(parse_keys(f"- {{name: a, sha256: {HASH}, expires: '{text}'}}", "keys.yaml")[0]) is expected


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], None),
        ([("Authorization", "Bearer abc")], "abc"),
        ([("authorization", "bearer  abc ")], "abc"),
        ([("authorization", "Basic abc")], None),
        ([("authorization", "Bearer ")], None),
        ([("X-API-Key", "abc")], "abc"),
        ([("x-api-key", "second"), ("authorization", "Bearer first")], "first"),
        ([("sec-websocket-protocol", "realtime, openai-insecure-api-key.abc")], "abc"),
        ([("sec-websocket-protocol", "realtime"), ("Sec-WebSocket-Protocol", "openai-insecure-api-key.abc")], "abc"),
        ([("sec-websocket-protocol", "openai-insecure-api-key.")], None),
    ],
)
def test_key_is_found_where_clients_put_it(headers: list[tuple[str, str]], key: str | None) -> None:
    assert presented_key(headers) == key


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [("openai-insecure-api-key.abc, realtime", "realtime"), ("openai-insecure-api-key.abc", None), ("chat", None)],
)
def test_key_is_never_the_chosen_subprotocol(offered: str, chosen: str | None) -> None:
    assert chosen_subprotocol([("sec-websocket-protocol", offered)]) == chosen


def test_token_is_known_by_its_digest() -> None:
    token = new_token("ek_")
    assert token.startswith("ek_")
    assert matches(token, digest(token))
    assert not matches(new_token("ek_"), digest(token))


@pytest.mark.parametrize(
    ("origin", "allowed", "lets_in"),
    [
        (None, (), True),
        ("https://page.example", (), True),
        ("https://evil.example", (), False),
        ("https://evil.example", ("https://friend.example",), False),
        ("https://friend.example", ("https://friend.example",), True),
        ("null", ("*",), True),
        ("null", (), False),
    ],
)
def test_origins_are_allowed_by_name(origin: str | None, allowed: tuple[str, ...], lets_in: bool) -> None:
    headers = {"host": "page.example"} | ({} if origin is None else {"origin": origin})
    assert is_allowed_origin(headers, allowed) is lets_in


@pytest.mark.parametrize(
    ("host", "exposed"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("::", True), ("voice", True)],
)
def test_service_is_exposed_beyond_loopback(host: str, exposed: bool) -> None:
    assert Settings(server={"host": host}).is_exposed is exposed


async def test_changed_file_is_read_when_it_has_settled_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    keys = KeyList(tmp_path / "keys.yaml")
    first = keys.add("first")
    keys.write()
    source = KeySource(AccessSettings(keys_file=keys.path))
    assert source.enabled
    assert not await source.refresh()
    second = keys.add("second")
    keys.write()
    assert not await source.refresh(), "it may still be being written"
    assert await source.refresh()
    assert source.ring.find(second)
    for bad in ("- nonsense", "\n- {"):
        keys.write(bad)
        assert not await source.refresh()
        assert not await source.refresh()
        assert source.ring.find(first)
    keys.path.unlink()
    assert not await source.refresh()
    assert not await source.refresh()
    assert source.ring.find(first)
    keys.remove("first")
    keys.write()
    await source.refresh()
    assert await source.refresh()
    assert source.ring.find(first) is None
    assert source.ring.find(second)


async def test_without_a_file_nothing_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = KeySource(AccessSettings())
    (tmp_path / "other").touch()
    assert [await source.refresh() for _ in range(2)] == [False, False]


def test_keys_of_the_environment_and_of_the_file_count_together(tmp_path: Path) -> None:
    keys = KeyList(tmp_path / "keys.yaml")
    filed = keys.add("filed")
    keys.write()
    fixed = new_token("vox_")
    source = KeySource(AccessSettings(keys_file=keys.path, keys=f"[{{name: fixed, sha256: {digest(fixed)}}}]"))
    assert source.ring.find(filed)
    assert source.ring.find(fixed)
    assert not KeySource(AccessSettings()).enabled


def test_missing_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"access\.keys_file\) cannot be read: No such file or directory\."):
        KeySource(AccessSettings(keys_file=tmp_path / "none.yaml"))
