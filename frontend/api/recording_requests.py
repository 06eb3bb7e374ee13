"""What all endpoints that answer with the transcript of a recording need."""

from dataclasses import dataclass

from frontend.access.access import Access
from frontend.monitoring.process_report import Tally
from frontend.sessions.gateway import Gateway
from frontend.sessions.recordings import Recordings
from shared.config.settings import Settings


@dataclass(frozen=True)
class RecordingRequests:
    """Answers the requests of one process."""

    settings: Settings
    gateway: Gateway
    recordings: Recordings
    access: Access
    tally: Tally
