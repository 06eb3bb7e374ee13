"""Secrets that the service hands out, and how it knows them again without keeping them.

A token is random and long, so that its plain SHA-256 cannot be turned back; slow hashes are for passwords, which people
choose.
"""

import hashlib
import hmac
import secrets
from typing import Final

TOKEN_BYTES = 32
"""Of randomness in each token: 43 characters of base64."""


def new_token(prefix: str = "") -> str:
    """A token that nobody can guess, of letters, digits, `-` and `_`. `prefix` says what it is for."""
    return prefix + secrets.token_urlsafe(TOKEN_BYTES)


def digest(token: str) -> str:
    """What is stored of a token: its SHA-256 in hex. Any text is allowed, lone surrogates included."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def matches(token: str, expected_digest: str) -> bool:
    """Whether this is the token of the digest, in a time that tells nothing of either."""
    return hmac.compare_digest(digest(token), expected_digest)


MAX_KEY_CHARS: Final = 512
