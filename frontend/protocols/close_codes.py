"""WebSocket close codes by error code. Pure."""

from typing import Final

CLOSE_CODES: Final = {
    "message_too_large": 1009,
    "frame_invalid": 1002,
    "unauthorized": 4401,
    "forbidden": 4403,
    "server_busy": 1013,
    "viewer_slow": 1013,
    "model_unavailable": 1013,
    "internal_error": 1011,
}
"""WebSocket close codes (RFC 6455 and its registry; 4000 on are private). Any other error closes with 1000."""
