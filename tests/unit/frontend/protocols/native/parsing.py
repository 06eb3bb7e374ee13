"""Parses native messages as a connection does."""

import base64
import json
from typing import Any

from frontend.protocols.json_objects import decode_message
from frontend.protocols.native.messages import parse_message
from shared.config.sections import AudioSettings

DEFAULTS = AudioSettings()
PCM = base64.b64encode(b"\x01\x02" * 8).decode()


def parse(**message: Any) -> Any:
    return parse_message(decode_message(json.dumps(message)), DEFAULTS)
