"""Suggests the address that a client meant when it asks for an unknown one. Knows no routes: the application does."""

from typing import Final

from starlette.routing import Match, Mount
from starlette.types import Scope

API_PREFIXES: Final = ("/v1/", "/v2/")
"""How the addresses of the API begin."""
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_NOT_COUNTED: Final = frozenset({"", "v1", "v2", "api", "openai"})
"""Parts of a path that base URLs often repeat or leave out."""
_TRANSCRIPTIONS: Final = "audio/transcriptions"
_TRANSLATIONS: Final = "audio/translations"
_CHAT: Final = "chat/completions"
_CLIENT_SECRETS: Final = "realtime/client_secrets"
_OTHERWISE: Final = {
    "asr": _TRANSCRIPTIONS,
    "audio": _TRANSCRIPTIONS,
    "audio/transcribe": _TRANSCRIPTIONS,
    "audio/transcription": _TRANSCRIPTIONS,
    "inference": _TRANSCRIPTIONS,
    "listen": _TRANSCRIPTIONS,
    "speech-to-text": _TRANSCRIPTIONS,
    "transcribe": _TRANSCRIPTIONS,
    "transcription": _TRANSCRIPTIONS,
    "transcriptions": _TRANSCRIPTIONS,
    "audio/translate": _TRANSLATIONS,
    "audio/translation": _TRANSLATIONS,
    "translate": _TRANSLATIONS,
    "translation": _TRANSLATIONS,
    "translations": _TRANSLATIONS,
    "chat": _CHAT,
    "chat/completion": _CHAT,
    "completions": _CHAT,
    "model": "models",
    "realtime/sessions": _CLIENT_SECRETS,
    "realtime/transcription_sessions": _CLIENT_SECRETS,
}
"""The names that other speech servers, and older versions of OpenAI's API, use for an address, and its name here."""


def methods_at(scope: Scope, path: str) -> list[str]:
    """The methods that a path of the application supports; empty for an unknown path."""
    return [method for method in METHODS if _has_route(scope, type="http", path=path, method=method)]


def is_socket(scope: Scope, path: str) -> bool:
    """Whether the application with this scope has a WebSocket at this path."""
    return _has_route(scope, type="websocket", path=path)


def meant_socket(scope: Scope) -> str | None:
    """The address of a WebSocket that differs from the requested one only in slashes, letter case or the version."""
    return next((path for path in _candidates(scope["path"]) if is_socket(scope, path)), None)


def meant_address(scope: Scope) -> str | None:
    """The address that a request most likely meant, after its method; the client's method if the address supports
    it."""
    for path in _candidates(scope["path"]):
        if path != scope["path"] and (methods := methods_at(scope, path)):
            return f"{scope['method'] if scope['method'] in methods else methods[0]} {path}"
        if is_socket(scope, path):
            return f"the WebSocket {path}"
    return None


def _candidates(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part.lower() not in _NOT_COUNTED]
    rest = "/".join(parts)
    # Proxies, and Azure's `/openai/deployments/NAME/…`, put a prefix before an address.
    ends = ("/".join(parts[-2:]).lower(),) if len(parts) > 2 else ()
    versions = sorted(API_PREFIXES, key=lambda prefix: prefix not in f"{path.lower()}/")
    return [
        candidate
        for name in dict.fromkeys((rest, rest.lower(), _OTHERWISE.get(rest.lower(), rest), *ends))
        for candidate in (*(f"{version}{name}" for version in versions), f"/{name}")
        if name
    ]


def _has_route(scope: Scope, **changes: str) -> bool:
    """Whether a route serves the scope with these changes. The page's files match every path and do not count."""
    routes = [route for route in scope["app"].router.routes if not isinstance(route, Mount)]
    return any(route.matches({**scope, **changes})[0] is Match.FULL for route in routes)
