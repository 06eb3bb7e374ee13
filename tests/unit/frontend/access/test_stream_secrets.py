"""The proofs of telephone services."""

import pytest
from starlette.websockets import WebSocket
from structlog.testing import capture_logs

from frontend.access.session_tokens import identity_of, new_identity
from frontend.access.stream_secrets import check_telnyx, check_twilio, is_signed, signature
from shared.errors import UnauthorizedError

HOST = "wss://voice.example"
PATH = "/v1/telephony/twilio"
SIGNATURES = {
    f"{HOST}{PATH}": "5BsGau7JI8tQQQeMjshH4mURJSM=",
    f"{HOST}{PATH}?a=b": "W4JcwEj0zWgYSrpALW0eKItEBNk=",
    f"{HOST}:443{PATH}": "CukQeazb47whfLdSDtkmd/UyetY=",
    f"{HOST}:8443{PATH}": "QIIP1F5Fs8jCSG0Fauno5uvizG4=",
}
"""`RequestValidator("12345").compute_signature(address, {})` of the package twilio, 9.13.0."""


@pytest.mark.parametrize("address", SIGNATURES)
def test_signatures_are_those_of_twilios_own_validator(address: str) -> None:
    assert signature("12345", address) == SIGNATURES[address]
    assert is_signed("12345", address, SIGNATURES[address])
    assert not is_signed("1234", address, SIGNATURES[address])
    for wrong in (None, "", "ä", SIGNATURES[address][:-2]):
        assert not is_signed("12345", address, wrong)
    assert not is_signed("12345", f"{HOST}/v1/other", SIGNATURES[address])


@pytest.mark.parametrize(("port", "signed"), [("", ":443"), (":443", ""), (":8443", "")])
def test_the_port_may_be_left_out(port: str, signed: str) -> None:
    assert is_signed("12345", f"{HOST}{port}{PATH}", SIGNATURES[f"{HOST}{signed}{PATH}"])


def test_another_port_is_another_address() -> None:
    assert not is_signed("12345", f"{HOST}{PATH}", SIGNATURES[f"{HOST}:8443{PATH}"])


def handshake(path: str = PATH, query: str = "", **headers: str) -> WebSocket:
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "websocket", "scheme": "ws", "path": path, "query_string": query.encode(), "headers": fields}
    return WebSocket(scope, None, None)  # type: ignore[arg-type]


def test_twilio_signs_the_address_of_the_handshake_or_the_configured_one() -> None:
    """A proxy terminates TLS; it may also change the host and the path."""
    signed = SIGNATURES[f"{HOST}{PATH}"]
    check_twilio(handshake(host="voice.example", x_twilio_signature=signed), "12345", None)
    check_twilio(handshake("/twilio", host="10.0.0.1:8000", x_twilio_signature=signed), "12345", f"{HOST}{PATH}")
    others = [handshake(host=host, x_twilio_signature=signed) for host in ("10.0.0.1", "[::1", "[::1]:80", ":", "ä")]
    for wrong in (*others, handshake(host="voice.example"), handshake()):
        with capture_logs() as logs, pytest.raises(UnauthorizedError, match="does not come from Twilio"):
            check_twilio(wrong, "12345", None)
        assert (logs[0]["event"], logs[0]["service"]) == ("access_rejected", "twilio")
        assert "wss://" in logs[0]["reason"]


def test_twilio_signs_parameters_of_the_address() -> None:
    signed = SIGNATURES[f"{HOST}{PATH}?a=b"]
    check_twilio(handshake(query="a=b", host="voice.example", x_twilio_signature=signed), "12345", None)
    for query in ("", "a=c"):
        with pytest.raises(UnauthorizedError):
            check_twilio(handshake(query=query, host="voice.example", x_twilio_signature=signed), "12345", None)


def test_telnyx_sends_the_token() -> None:
    check_telnyx(handshake(x_telnyx_streaming_auth_token="0123456789abcdef"), "0123456789abcdef")
    for wrong in ("", "0123456789abcdeF", "ä"):
        with capture_logs() as logs, pytest.raises(UnauthorizedError, match="does not come from Telnyx"):
            check_telnyx(handshake(x_telnyx_streaming_auth_token=wrong), "0123456789abcdef")
        assert "0123456789" not in logs[0]["reason"]
    with pytest.raises(UnauthorizedError):
        check_telnyx(handshake(), "0123456789abcdef")


def test_the_identity_of_a_name_is_always_the_same_and_depends_on_the_secret() -> None:
    identity = identity_of("secret", "twilio MZ1")
    assert identity == identity_of("secret", "twilio MZ1")
    for other in (identity_of("secret2", "twilio MZ1"), identity_of("secret", "twilio MZ2"), new_identity()):
        assert other.session_id != identity.session_id
        assert other.resume_token != identity.resume_token
        assert len(other.session_id) == len(identity.session_id) == 16
        assert len(other.resume_token) == len(identity.resume_token) == 32
    assert identity.resume_token not in repr(identity)
