"""What pages of other origins may read (CORS): nothing, unless `access.origins` lists them."""

from collections.abc import Collection
from typing import Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

METHODS: Final = ("GET", "HEAD", "POST", "DELETE")
SENT_HEADERS: Final = ("*",)
"""SDKs send many headers of their own. None of them grants access to a page that has no key."""
READ_HEADERS: Final = ("Retry-After", "Transcript-Complete", "X-Request-Id", "X-Voxtral-Warning")
PREFLIGHT_LIFE_S: Final = 600


def allow_pages(app: FastAPI, origins: Collection[str]) -> None:
    """Let pages of these origins (`*`: all) read the responses to their requests. No cookies: only a key grants
    access."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=METHODS,
            allow_headers=SENT_HEADERS,
            expose_headers=READ_HEADERS,
            max_age=PREFLIGHT_LIFE_S,
        )
