"""The two secrets of a session, and what the store knows of them.

The resume token is the speaker's; the viewer token may be handed on. It is derived from the other, one way, so that
whoever resumes can be told it again, and it opens nothing but the text.
"""

import base64
import hmac
import secrets

from frontend.access.tokens import matches as is_token_of


def new_resume_token() -> str:
    return secrets.token_urlsafe(24)


def viewer_token(resume_token: str) -> str:
    """The token with which others may read along."""
    tag = hmac.digest(resume_token.encode(), b"voxtral viewer", "sha256")
    return base64.urlsafe_b64encode(tag[:24]).decode()


def matches(token: str, stored: bytes | None) -> bool:
    """Whether this is the token that the digest was made of; takes the same time where there is none."""
    expected = bytes(64) if stored is None else stored
    return is_token_of(token, expected.decode()) and stored is not None
