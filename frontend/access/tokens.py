"""Secrets that the service issues, and how it recognises them without storing them.

A token is random and long, so its plain SHA-256 cannot be reversed; slow hashes are for passwords, which people choose.
"""

import hashlib
import hmac
import secrets
from typing import Final

TOKEN_BYTES = 32
"""Randomness in each token: 43 characters of base64."""
MAX_KEY_CHARS: Final = 512


def new_token(prefix: str = "") -> str:
    """A token that cannot be guessed, of letters, digits, `-` and `_`. `prefix` marks its purpose."""
    return prefix + secrets.token_urlsafe(TOKEN_BYTES)


def digest(token: str) -> str:
    """What is stored of a token: its SHA-256 in hex. Any text is allowed, lone surrogates included."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def matches(token: str, expected_digest: str) -> bool:
    """Whether this is the token of the digest, in a time that reveals nothing about either."""
    return hmac.compare_digest(digest(token), expected_digest)
