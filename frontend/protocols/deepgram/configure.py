"""What `Configure` messages change in a live session, and how they are rejected. Null changes nothing."""

from collections.abc import Mapping
from typing import Any, Final

from frontend.protocols.kinds import Flag
from frontend.protocols.options import KEYWORDS, parse_json
from shared.errors import InvalidFieldError, VoxtralError
from shared.session_options import Profanity

FEATURES: Final = {"numerals": "numerals", "smart_format": "numerals", "profanity_filter": "profanity"}
"""The option of each feature of `/v1/listen` that can be turned on or off."""


def listen_changes(message: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `SessionOptions` that a message of `/v1/listen` changes. Raises InvalidFieldError."""
    features = message.get("features")
    if features is None:
        features = {}
    if not isinstance(features, dict):
        raise InvalidFieldError("features", features, f"an object with {', '.join(FEATURES)}, each true or false")
    return keyterm_changes(message) | feature_changes(features, "features.")


def keyterm_changes(message: Mapping[str, Any]) -> dict[str, Any]:
    """An empty list removes all terms."""
    terms = message.get("keyterms")
    if terms is None:
        return {}
    return {"keyterms": parse_json("keyterms", [terms] if isinstance(terms, str) else terms, KEYWORDS)}


def feature_changes(features: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """`path` is what errors write before the name of a feature."""
    changes: dict[str, Any] = {}
    for name, option in FEATURES.items():
        if features.get(name) is not None:
            is_on = parse_json(f"{path}{name}", features[name], Flag())
            changes[option] = (Profanity.MASK if option == "profanity" else True) if is_on else None
    return changes


def configure_failure(error: VoxtralError) -> dict[str, Any]:
    return {"type": "ConfigureFailure", "code": f"CONFIGURE_{error.code.upper()}", "description": error.message}
