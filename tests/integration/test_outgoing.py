"""Requests to URLs of clients, sent to real servers on loopback, which a setting allows here."""

import asyncio
import ssl
from collections.abc import Iterable
from ipaddress import ip_address

import pytest

from shared.config.webhooks import OutgoingSettings
from shared.outgoing.addresses import Address, RefusedUrlError
from shared.outgoing.client import MAX_ADDRESSES, MAX_ANSWER_BYTES, MAX_REDIRECTS, OutgoingClient, OutgoingError
from tests.certificates import Certificate
from tests.receivers import Receiver, receiving, status, whole

LONG_S = 60.0


def client(*allow: str, tls: ssl.SSLContext | None = None) -> OutgoingClient:
    return OutgoingClient(OutgoingSettings(allow=allow), tls=tls)


async def read(outgoing: OutgoingClient, url: str, max_bytes: int = 1_000_000, within_s: float = LONG_S) -> bytes:
    async with outgoing.download(url, max_bytes=max_bytes, within_s=within_s) as download:
        return b"".join([chunk async for chunk in download])


class Resolver:
    """Gives one answer after another, and keeps the last one."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Iterable[Address]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ip_address(one) for one in answer.split()]


async def test_post_sends_the_body_and_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with receiving() as receiver, client("127.0.0.1") as outgoing:
        receiver.answer = lambda _: status(202, "Retry-After: 7", "Set-Cookie: id=1")
        for _ in range(2):
            answer = await outgoing.post(receiver.url("/hook?a=1"), b"{}", {"X-Id": "7"}, within_s=LONG_S)
            assert (answer.status, answer.headers["retry-after"]) == (202, "7")
    first, second = receiver.received
    assert (first.method, first.path, first.body, first.headers["x-id"]) == ("POST", "/hook?a=1", b"{}", "7")
    assert first.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert "cookie" not in second.headers
    assert first.headers["accept-encoding"] == "identity"


async def test_loopback_is_refused_unless_it_is_listed() -> None:
    async with receiving() as receiver, client() as outgoing:
        with pytest.raises(RefusedUrlError, match="only https"):
            await outgoing.post(receiver.url(), b"", {}, within_s=LONG_S)
        with pytest.raises(RefusedUrlError, match="not public"):  # the system resolves it to loopback
            await outgoing.post("https://localhost:8443/", b"", {}, within_s=LONG_S)
    assert not receiver.received


async def test_connection_goes_to_the_address_that_was_checked() -> None:
    """DNS rebinding: the name has another address when it is asked for again."""
    resolver = Resolver("127.0.0.1", "127.0.0.2")
    async with receiving() as checked, receiving("127.0.0.2", checked.port) as other:
        settings = OutgoingSettings(allow=("receiver.example",))
        async with OutgoingClient(settings, resolve=resolver) as outgoing:
            await outgoing.post(f"http://receiver.example:{checked.port}/", b"", {}, within_s=LONG_S)
    assert resolver.asked == 1
    assert (len(checked.received), len(other.received)) == (1, 0)


async def test_name_with_an_address_that_is_not_public_is_refused() -> None:
    for answer in ("10.0.0.1", "8.8.8.8 10.0.0.1", "::ffff:127.0.0.1"):
        async with OutgoingClient(OutgoingSettings(), resolve=Resolver(answer)) as outgoing:
            with pytest.raises(RefusedUrlError, match="not public"):
                await outgoing.post("https://receiver.example/", b"", {}, within_s=LONG_S)


async def test_next_address_is_tried_if_the_first_one_does_not_answer() -> None:
    async with receiving("127.0.0.2") as receiver:
        settings = OutgoingSettings(allow=("receiver.example",))
        async with OutgoingClient(settings, resolve=Resolver("127.0.0.3 127.0.0.2")) as outgoing:
            url = f"http://receiver.example:{receiver.port}/"
            assert (await outgoing.post(url, b"", {}, within_s=LONG_S)).status == 204


async def test_no_more_than_a_few_addresses_are_tried() -> None:
    silent = [f"127.0.0.{number}" for number in range(10, 10 + MAX_ADDRESSES)]
    async with receiving("127.0.0.2") as receiver:
        settings = OutgoingSettings(allow=("receiver.example",))
        async with OutgoingClient(settings, resolve=Resolver(" ".join([*silent, "127.0.0.2"]))) as outgoing:
            with pytest.raises(OutgoingError, match="no connection"):
                await outgoing.post(f"http://receiver.example:{receiver.port}/", b"", {}, within_s=LONG_S)


async def test_name_that_does_not_resolve_is_an_error() -> None:
    async def fails(host: str, port: int) -> Iterable[Address]:
        raise OSError("no such host")

    async with OutgoingClient(OutgoingSettings(), resolve=fails) as outgoing:
        with pytest.raises(OutgoingError, match="does not resolve"):
            await outgoing.post("https://receiver.example/", b"", {}, within_s=LONG_S)


async def test_certificate_is_verified_for_the_name(certificate: Certificate) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key_path)
    async with receiving(tls=context) as receiver:
        settings = OutgoingSettings(allow=("localhost", "other.example"))
        resolver = Resolver("127.0.0.1")
        async with OutgoingClient(settings, resolve=resolver, tls=certificate.trust) as trusting:
            answer = await trusting.post(f"https://localhost:{receiver.port}/", b"", {}, within_s=LONG_S)
            assert answer.status == 204
            with pytest.raises(OutgoingError, match="certificate is not valid"):
                await trusting.post(f"https://other.example:{receiver.port}/", b"", {}, within_s=LONG_S)
        async with OutgoingClient(settings, resolve=resolver) as usual:
            with pytest.raises(OutgoingError, match="certificate is not valid"):
                await usual.post(f"https://localhost:{receiver.port}/", b"", {}, within_s=LONG_S)
    assert len(receiver.received) == 1


async def test_post_follows_no_redirect() -> None:
    async with receiving() as receiver, client("127.0.0.1") as outgoing:
        receiver.answer = lambda _: status(307, f"Location: {receiver.url('/elsewhere')}")
        assert (await outgoing.post(receiver.url(), b"", {}, within_s=LONG_S)).status == 307
    assert len(receiver.received) == 1


async def test_download_follows_redirects_and_checks_each() -> None:
    async with receiving("127.0.0.1") as listed, receiving("127.0.0.2") as private, client("127.0.0.1") as outgoing:
        places = {
            "/": status(302, "Location: /file"),
            "/part": status(302, "Location: /file#t=10"),
            "/raw": status(302, "Location: /é f"),
            "/%C3%A9%20f": whole(b"RIFF"),
            "/file": whole(b"RIFF"),
            "/private": status(302, f"Location: {private.url()}"),
            "/metadata": status(302, "Location: https://169.254.169.254/latest/"),
            "/local": status(302, "Location: file:///etc/passwd"),
            "/loop": status(302, "Location: /loop"),
        }
        listed.answer = lambda request: places[request.path]
        for path in ("/", "/part", "/raw"):
            assert await read(outgoing, listed.url(path)) == b"RIFF"
        for path in ("/private", "/metadata", "/local"):
            with pytest.raises(RefusedUrlError, match=r"^the server redirects to another URL: "):
                await read(outgoing, listed.url(path))
        with pytest.raises(OutgoingError, match=f"more than {MAX_REDIRECTS} times"):
            await read(outgoing, listed.url("/loop"))
    assert not private.received


async def test_download_is_bounded_and_its_failures_are_named() -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8000\r\n" + bytes(0x8000) + b"\r\n"
    cases: list[tuple[Receiver, bytes, str]] = [
        (Receiver(), whole(bytes(2000)), "larger than 1000 bytes"),
        (Receiver(repeats=True), endless, "larger than 1000 bytes"),
        (Receiver(), b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort", "valid HTTP"),
        (Receiver(), b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", "valid HTTP"),
        (Receiver(), b"SSH-2.0-OpenSSH_9.2\r\n", "valid HTTP"),
        (Receiver(), b"", "valid HTTP|connection was lost"),
        (Receiver(), status(404), "answered 404"),
        (Receiver(), status(302, "Location: //["), "not a URL"),
        (Receiver(), status(302, "Location: https://[a]/"), "not a URL"),
        (Receiver(), status(302), "answered 302 without a Location"),
    ]
    for how, answer, reason in cases:
        async with receiving(repeats=how.repeats) as receiver, client("127.0.0.1") as outgoing:
            receiver.answer = lambda _, answer=answer: answer  # type: ignore[misc]
            with pytest.raises(OutgoingError, match=reason):
                await read(outgoing, receiver.url(), max_bytes=1000)


async def test_time_is_bounded_before_and_within_the_body() -> None:
    for answer in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nslow"):
        async with receiving(stays_open=True) as receiver, client("127.0.0.1") as outgoing:
            receiver.answer = lambda _, answer=answer: answer  # type: ignore[misc]
            with pytest.raises(OutgoingError, match=r"longer than 0\.2 s"):
                await read(outgoing, receiver.url(), within_s=0.2)


async def test_time_is_bounded_while_a_name_is_resolved() -> None:
    async def hangs(host: str, port: int) -> Iterable[Address]:
        await asyncio.Event().wait()
        return []

    async with OutgoingClient(OutgoingSettings(), resolve=hangs) as outgoing:
        with pytest.raises(OutgoingError, match=r"longer than 0\.1 s"):
            await outgoing.post("https://receiver.example/", b"", {}, within_s=0.1)


async def test_long_answer_to_post_is_not_read_whole() -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8000\r\n" + bytes(0x8000) + b"\r\n"
    assert len(endless) < MAX_ANSWER_BYTES
    async with receiving(repeats=True) as receiver, client("127.0.0.1") as outgoing:
        receiver.answer = lambda _: endless
        assert (await outgoing.post(receiver.url(), b"", {}, within_s=LONG_S)).status == 200
