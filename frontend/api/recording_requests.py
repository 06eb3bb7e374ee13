"""What all endpoints that answer with the transcript of a recording need."""

from dataclasses import dataclass
from typing import Any

from frontend.access.access import Access
from frontend.api.renderers import ErrorRenderer
from frontend.monitoring.process_report import Tally
from frontend.sessions.gateway import Gateway
from frontend.sessions.recordings import Recordings
from shared.config.settings import Settings
from shared.errors import VoxtralError


@dataclass(frozen=True)
class RecordingRequests:
    """Answers the requests of one process."""

    settings: Settings
    gateway: Gateway
    recordings: Recordings
    access: Access
    tally: Tally

    def counted_body(self, renderer: ErrorRenderer, error: VoxtralError) -> dict[str, Any]:
        """The body for an error after the response has begun; `middleware.ApiAnswers` counts all others."""
        self.tally.count_error(error.code)
        return renderer.error_body(error)
