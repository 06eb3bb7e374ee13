"""Who is let in, who is not, and for how much: with keys, with client tokens, and where keys are off."""

import asyncio
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.websockets import WebSocket
from structlog.testing import capture_logs

from frontend.access import access as access_module
from frontend.access.access import ENVELOPE_BYTES, Access
from frontend.access.cors import READ_HEADERS, allow_pages
from frontend.access.principal import ANONYMOUS, Principal
from frontend.access.session_tokens import matches, new_resume_token, viewer_token
from frontend.access.tokens import digest
from shared.bus import keys as bus_keys
from shared.config.sections import ForeignProtocol
from shared.config.settings import Settings
from shared.errors import (
    ForbiddenError,
    MessageTooLargeError,
    RateLimitedError,
    StoreUnreachableError,
    UnauthorizedError,
    VoxtralError,
)
from tests.keys import KeyList
from tests.unit.frontend.access.store import Store, access_of, reread


def request(**headers: str) -> Request:
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": fields, "method": "POST", "path": "/"})


def bearer(key: str, **headers: str) -> Request:
    return request(authorization=f"Bearer {key}", **headers)


def rejection(name: str, error: RateLimitedError) -> dict[str, str]:
    """The line of the log about it."""
    return {"event": "access_rejected", "log_level": "warning", "name": name, "reason": error.message}


@pytest.fixture
def store() -> Store:
    return Store()


async def test_without_keys_everybody_is_let_in_but_pages_of_others(store: Store) -> None:
    access = Access(Settings(server={"host": "0.0.0.0"}, access={"origins": ["https://voice.example"]}), store.redis)
    assert not access.enabled
    assert await access.admit_http(request(content_length="99999999")) is ANONYMOUS
    assert await access.admit_http(request(origin="https://voice.example", host="localhost")) is ANONYMOUS
    with pytest.raises(ForbiddenError, match=r"origin 'https://evil.example' may not use the service"):
        await access.admit_http(request(origin="https://evil.example", host="localhost"))
    with pytest.raises(ForbiddenError, match="A page opened from a file has the origin null"):
        access.check_origin_beside({"origin": "null", "host": "localhost"})
    access.check_origin_beside({"origin": "http://localhost:8000", "host": "localhost:8765"})
    assert access.largest_body_bytes(ANONYMOUS, 50) == 50
    access.check_upload(ANONYMOUS, 10**9)
    await access.take_request(ANONYMOUS)
    assert store.asked == []


async def test_key_lets_in_and_wrong_ones_do_not(tmp_path: Path, store: Store) -> None:
    access, keys = access_of(tmp_path, store)
    principal = await access.admit_http(bearer(keys.keys["anna"]))
    assert (principal.name, principal.key_name, principal.is_client_token) == ("anna", "anna", False)
    websocket = WebSocket({"type": "websocket", "headers": [(b"x-api-key", keys.keys["anna"].encode())]}, None, None)
    assert (await access.admit_websocket(websocket)).name == "anna"
    with pytest.raises(UnauthorizedError, match="send it as Authorization: Bearer, Authorization: Token, or X-API"):
        await access.identify(None)
    for wrong in ("vox_x", keys.keys["late"]):
        with pytest.raises(UnauthorizedError, match="The key is wrong or has expired"):
            await access.identify(wrong)


@pytest.mark.parametrize("has_keys", [True, False])
async def test_unknown_client_token_is_rejected_also_without_keys(tmp_path: Path, store: Store, has_keys: bool) -> None:
    access = access_of(tmp_path, store)[0] if has_keys else Access(Settings(), store.redis)
    for wrong in ("ek_x", "ek_" + "x" * 200):
        with pytest.raises(UnauthorizedError, match="The client token is wrong or has expired; request a new one"):
            await access.identify(wrong)


async def test_clients_of_a_protocol_without_keys_use_the_key_of_the_protocol(tmp_path: Path, store: Store) -> None:
    keys = KeyList(tmp_path / "keys.yaml")
    for name, expires in (("home", None), ("late", "2020-01-01")):
        keys.add(name, **({} if expires is None else {"expires": expires}))
    keys.write()
    for named, allowed in (
        ({"wyoming": "home"}, True),
        ({"wyoming": "late"}, False),
        ({"wyoming": "none"}, False),
        ({}, False),
    ):
        settings = Settings(access={"keys_file": str(keys.path), "protocol_keys": named})  # type: ignore[arg-type]
        access = Access(settings, store.redis)
        if allowed:
            assert access.identify_protocol(ForeignProtocol.WYOMING).name == "home"
            continue
        with capture_logs() as logs, pytest.raises(UnauthorizedError, match="none for the clients of wyoming"):
            access.identify_protocol(ForeignProtocol.WYOMING)
        assert "access.protocol_keys" in logs[0]["reason"]
    assert Access(Settings(), store.redis).identify_protocol(ForeignProtocol.WYOMING) is ANONYMOUS


async def test_requests_and_uploads_of_a_key_are_limited(tmp_path: Path, store: Store) -> None:
    access, keys = access_of(tmp_path, store)
    key = keys.keys["bert"]
    principal = await access.admit_http(bearer(key, content_length="1000"))
    largest = 1000 * 4 // 3 + ENVELOPE_BYTES
    assert access.largest_body_bytes(principal, 10**9) == largest
    assert access.largest_body_bytes(principal, 10) == 10
    await access.admit_http(bearer(key, content_length=str(largest)))
    with pytest.raises(MessageTooLargeError, match="The recording is over the limit of 1000 bytes"):
        await access.admit_http(bearer(key, content_length=str(largest + 1)))
    access.check_upload(principal, 1000)
    with pytest.raises(MessageTooLargeError, match="The recording of 1001 bytes is over the limit of 1000 bytes"):
        access.check_upload(principal, 1001)
    assert store.asked[0] == (bus_keys.requests_of("bert"), "20000.0", "60000", "0")
    store.answers[bus_keys.requests_of("bert")] = 1500
    with capture_logs() as logs, pytest.raises(RateLimitedError, match="allows 3 requests a minute") as refused:
        await access.admit_http(bearer(key))
    assert logs == [rejection("bert", refused.value)]
    assert refused.value.retry_after_s == 1.5
    store.is_gone = True
    with pytest.raises(StoreUnreachableError):
        await access.admit_http(bearer(key))


async def test_client_token_stands_for_its_key_and_makes_no_others(tmp_path: Path, store: Store) -> None:
    access, keys = access_of(tmp_path, store)
    anna = await access.identify(keys.keys["anna"])
    token, lapses_at_s = await access.new_client_token(anna, {"model": "echo"}, 60)
    assert lapses_at_s > 60
    assert list(store.kept) == [bus_keys.client_secret(digest(token))]
    found = await access.identify(token)
    assert (found.name, found.is_client_token, found.session) == ("anna", True, {"model": "echo"})
    with pytest.raises(ForbiddenError, match="cannot create other tokens"):
        await access.new_client_token(found, None, 60)
    store.answers[bus_keys.client_secrets_of("anna")] = 5000
    with capture_logs() as logs, pytest.raises(RateLimitedError, match="anna has 1000 valid client tokens") as refused:
        await access.new_client_token(anna, None, 60)
    assert logs == [rejection("anna", refused.value)]
    assert refused.value.retry_after_s == 5
    keys.remove("anna")
    keys.write()
    await reread(access)
    with pytest.raises(UnauthorizedError, match="anna has been revoked"):
        await access.identify(token)


async def test_client_token_of_a_service_without_keys_is_worth_nothing_with_them(tmp_path: Path, store: Store) -> None:
    token, _ = await Access(Settings(), store.redis).new_client_token(ANONYMOUS, {"a": 1}, 60)
    assert (await Access(Settings(), store.redis).identify(token)).session == {"a": 1}
    access, _ = access_of(tmp_path, store)
    with pytest.raises(UnauthorizedError):
        await access.identify(token)


async def test_sessions_of_revoked_keys_end_and_the_others_stay_counted(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "WATCH_INTERVAL_S", 0.0)
    monkeypatch.setattr(access_module, "RENEW_INTERVAL_S", 0.0)
    access, keys = access_of(tmp_path, store)
    ended: list[VoxtralError] = []
    anna = await access.enter(await access.identify(keys.keys["anna"]), "s1")
    anna.on_revoked = ended.append
    opening = await access.enter(await access.identify(keys.keys["anna"]), "s3")
    bert = await access.enter(await access.identify(keys.keys["bert"]), "s2")
    await access.enter(ANONYMOUS, "s4")
    assert (anna.is_leased, bert.is_leased, opening.on_revoked) == (False, True, None)
    renewal = (bus_keys.sessions_of("bert"), "15000", "s2")
    watching = asyncio.create_task(access.run())
    async with asyncio.timeout(20):
        while renewal not in store.asked:  # noqa: ASYNC110 -- the task's loop goes on meanwhile
            await asyncio.sleep(0)
        store.is_gone = True  # and the task survives that
        keys.remove("anna")
        keys.write()
        while not ended:  # noqa: ASYNC110
            await asyncio.sleep(0)
        opening.on_revoked = ended.append
        while len(ended) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    watching.cancel()
    assert all("anna has been revoked" in error.message for error in ended)
    store.is_gone = False
    store.asked.clear()
    bert.close()
    await access.close()
    assert ("left", bus_keys.sessions_of("bert"), "s2") in store.asked


@pytest.mark.parametrize(("answer", "sentence"), [(-1, "allows 1 sessions at the same"), (2500, "60 s of audio a min")])
async def test_session_that_a_key_does_not_allow_does_not_begin(
    tmp_path: Path, store: Store, answer: int, sentence: str
) -> None:
    access, keys = access_of(tmp_path, store)
    store.answers[bus_keys.sessions_of("bert")] = answer
    with capture_logs() as logs, pytest.raises(RateLimitedError, match=sentence) as refused:
        await access.enter(await access.identify(keys.keys["bert"]), "s1")
    assert logs == [rejection("bert", refused.value)]
    assert refused.value.retry_after_s == (2 if answer < 0 else 2.5)


@pytest.mark.parametrize("origins", [(), ("https://voice.example",)])
def test_pages_of_others_read_answers_where_they_are_listed(origins: tuple[str, ...]) -> None:
    app = FastAPI()
    allow_pages(app, origins)
    assert len(app.user_middleware) == len(origins)
    for middleware in app.user_middleware:
        assert middleware.kwargs["expose_headers"] == READ_HEADERS
        assert "allow_credentials" not in middleware.kwargs


def test_viewer_token_is_made_of_the_resume_token_and_opens_nothing_else() -> None:
    resume = new_resume_token()
    viewer = viewer_token(resume)
    assert viewer == viewer_token(resume) != viewer_token(new_resume_token())
    assert matches(viewer, digest(viewer).encode())
    assert not matches(resume, digest(viewer).encode())
    assert not matches(viewer, None)


def test_principal_without_a_key_has_no_name_in_logs() -> None:
    assert Principal("anonymous").key_name is None


def test_exposed_service_without_keys_is_warned_of(store: Store) -> None:
    with capture_logs() as logs:
        Access(Settings(server={"host": "0.0.0.0"}), store.redis)
        Access(Settings(), store.redis)
    assert [log["event"] for log in logs] == ["open_to_everyone"]
