"""Which URLs and addresses requests may be sent to."""

from ipaddress import ip_address

import pytest

from shared.outgoing.addresses import MAX_URL_CHARS, AllowList, RefusedUrlError, is_public

NOT_PUBLIC = (
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.8.8", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("::", "::1", "::7f00:1", "::8.8.8.8", "100::1", "2001::1", "2001:db8::1", "3fff::1", "4000::1", "5f00::1"),
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "64:ff9b:1::808:808"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),  # IPv4-mapped
    *("2002:7f00:1::1", "2002:a00:1::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),  # 6to4, NAT64
)
PUBLIC = ("8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1")
EMBEDDING_PUBLIC = ("::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808")


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_private_special_and_metadata_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", [*PUBLIC, *EMBEDDING_PUBLIC])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_url_with_a_literal_address_that_is_not_public_is_refused(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(RefusedUrlError, match="not public"):
        AllowList(()).target(f"https://{host}/hook")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://receiver.example/", "only https"),
        ("ftp://receiver.example/", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"),
        ("receiver.example/hook", "must begin with https://"),
        ("https://", "must begin with https://"),
        ("https://anna:secret@receiver.example/", "user or a password"),
        ("https://anna@receiver.example/", "user or a password"),
        ("https://receiver.example/#top", "fragment"),
        ("https://receiver.example:22/", "port must be one of 80, 443, 8080, 8443"),
        ("https://receiver.example:0/", "port must be one of"),
        ("https://receiver.example:65536/", "not a URL"),
        ("https://receiver.example:https/", "not a URL"),
        ("https://[::1/", "not a URL"),
        ("https://[fe80::1%25eth0]/", "neither a host name nor an IP address"),
        ("https://[receiver.example]/", "not a URL|neither a host name"),
        ("https://receiver.example\\@evil.example/", "visible ASCII"),
        ("https://receiver.example/\r\nHost: evil", "visible ASCII"),
        ("https://receiver.example/a b", "visible ASCII"),
        ("https://empfänger.example/", "visible ASCII"),
        ("https://-a.example/", "neither a host name"),
        ("https://a..example/", "neither a host name"),
        ("https://receiver.example/" + "a" * MAX_URL_CHARS, "at most 2048 characters"),
    ],
)
def test_url_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(RefusedUrlError, match=reason):
        AllowList(()).target(url)


def test_target_has_the_parts_of_its_url() -> None:
    target = AllowList(()).target("HTTPS://Receiver.Example.:8443/hook?token=secret")
    assert (target.scheme, target.host, target.port) == ("https", "receiver.example", 8443)
    assert target.path == "/hook?token=secret"
    assert not target.is_listed
    assert "secret" not in repr(target)
    assert target.shown == "https://receiver.example:8443"


def test_names_of_numbers_are_checked_after_they_are_resolved() -> None:
    """Resolvers read `2130706433` and `0x7f.1` as 127.0.0.1."""
    allowed = AllowList(())
    for host in ("2130706433", "0x7f.1", "127.1", "0177.0.0.1"):
        with pytest.raises(RefusedUrlError, match="not public"):
            allowed.check(allowed.target(f"https://{host}/"), ip_address("127.0.0.1"))


def test_listed_hosts_may_have_any_port_and_address_and_no_tls() -> None:
    allowed = AllowList(("receiver.internal", "*.lan", "10.20.0.0/16", "fd00::1"))
    for url in (
        "http://receiver.internal:9000/",
        "http://RECEIVER.internal./",
        "http://a.b.lan:22/",
        "http://10.20.3.4:5000/",
        "http://[fd00::1]/",
    ):
        target = allowed.target(url)
        assert target.is_listed
        allowed.check(target, ip_address("127.0.0.1"))
    for url in ("http://lan/", "http://receiver.internal.example/", "http://10.21.0.1/", "http://[fd00::2]/"):
        with pytest.raises(RefusedUrlError):
            allowed.target(url)


def test_listed_network_is_allowed_for_names_that_resolve_to_it() -> None:
    allowed = AllowList(("10.20.0.0/16",))
    target = allowed.target("https://receiver.example/")
    assert str(allowed.check(target, ip_address("::ffff:10.20.3.4"))) == "10.20.3.4"
    with pytest.raises(RefusedUrlError, match="not public"):
        allowed.check(target, ip_address("10.21.0.1"))


@pytest.mark.parametrize("entry", ["https://receiver.example", "10.0.0.1/8", "a b", "*", "", "a..b"])
def test_bad_entry_of_the_list_is_an_error(entry: str) -> None:
    with pytest.raises(ValueError, match="neither a host name nor a network"):
        AllowList((entry,))
