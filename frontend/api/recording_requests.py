"""What all endpoints that answer with the transcript of a recording need."""

from frontend.access.access import Access
from frontend.monitoring.process_report import Tally
from frontend.sessions.gateway import Gateway
from frontend.sessions.recordings import Recordings
from shared.config.settings import Settings


class RecordingRequests:
    """Answers the requests of one process."""

    def __init__(
        self, settings: Settings, gateway: Gateway, recordings: Recordings, access: Access, tally: Tally
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._recordings = recordings
        self._access = access
        self._tally = tally
