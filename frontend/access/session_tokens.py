"""The two secrets of a session, and the digests that the store keeps of them.

The resume token is for the speaker; the viewer token may be shared. It is derived one way from the resume token, so
a client that resumes can receive it again. It gives access only to the text.
"""

import base64
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from frontend.access.tokens import matches as is_token_of

_SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class SessionIdentity:
    session_id: str
    resume_token: str = field(repr=False)


def is_session_id(text: str) -> bool:
    """Whether a session may have this id."""
    return _SESSION_ID.fullmatch(text) is not None


def new_identity() -> SessionIdentity:
    return SessionIdentity(secrets.token_hex(8), new_resume_token())


def identity_of(secret: str, name: str) -> SessionIdentity:
    """The identity of the session that has a name in another system. It is always the same, so nothing stores it, and
    only those who have the secret can compute it."""
    tag = hmac.digest(secret.encode(), f"voxtral session {name}".encode(), "sha256")
    return SessionIdentity(tag[:8].hex(), base64.urlsafe_b64encode(tag[8:]).decode())


def new_resume_token() -> str:
    return secrets.token_urlsafe(24)


def viewer_token(resume_token: str) -> str:
    """The token with which others may view the session."""
    tag = hmac.digest(resume_token.encode(), b"voxtral viewer", "sha256")
    return base64.urlsafe_b64encode(tag[:24]).decode()


def matches(token: str, stored: bytes | None) -> bool:
    """Whether this is the token of the digest; takes the same time if there is none."""
    expected = bytes(64) if stored is None else stored
    return is_token_of(token, expected.decode()) and stored is not None
