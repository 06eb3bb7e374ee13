"""WebSocket close codes of the native protocol by error code. Pure.

The codes of the OpenAI API are in `openai.errors`, those of Mistral and vLLM in their own modules.
"""

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
"""From RFC 6455 and its registry; those from 4000 on are private. Any other error closes with 1000."""
