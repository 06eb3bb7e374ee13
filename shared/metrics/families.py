"""Counters and histograms of the whole service: their names, labels and buckets. Names follow Prometheus' conventions.

The labels have few values: models, error codes, the names of API keys, the templates of routes. Nothing here is about
one session or one client.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Family:
    """A counter, or a histogram if it has buckets."""

    name: str
    """Without the `_total` that Prometheus' text format adds to counters."""
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()
    """Upper bounds, ascending, without infinity."""


_LATENCY_S: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_STEP_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16, 0.25, 0.5, 1.0, 2.5, 5.0)
"""0.08 s is the audio of one pass of Voxtral Realtime: slower passes are slower than real time."""
_SPEECH_S: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_SESSION_S: Final = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
_REAL_TIME: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0)
_DELIVERY_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0, 86400.0)
_HTTP_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

EVENT_LATENCY: Final = Family(
    "voxtral_event_latency_seconds",
    "From the arrival of the last audio of a text of a live session to the text, by stage.",
    ("stage", "model"),
    _LATENCY_S,
)
STEP: Final = Family("voxtral_step_seconds", "Time of one pass of a model.", ("model",), _STEP_S)
FIRST_WORD: Final = Family(
    "voxtral_first_word_seconds",
    "From the arrival of the first sound of a segment of a live session to its first text.",
    ("model",),
    _SPEECH_S,
)
FINAL_DELAY: Final = Family(
    "voxtral_final_delay_seconds",
    "From the arrival of the last sound of a segment of a live session to its final.",
    ("model",),
    _SPEECH_S,
)
SESSION: Final = Family(
    "voxtral_session_duration_seconds",
    "Audio of a session, when it ends.",
    ("model", "kind", "outcome"),
    _SESSION_S,
)
UPLOAD_RATE: Final = Family(
    "voxtral_upload_real_time_factor",
    "Time from the request for a slot to the end of the transcript, per second of a recording.",
    ("model",),
    _REAL_TIME,
)
REVISIONS: Final = Family(
    "voxtral_revisions",
    "Finals for the second model, by outcome: revised, unchanged, or dropped because too many waited or it failed.",
    ("model", "outcome"),
)
DELIVERY: Final = Family(
    "voxtral_event_delivery_seconds",
    "From the arrival of an event at its frontend to the socket of its client.",
    (),
    _LATENCY_S,
)
CLIENTS_STALLED: Final = Family(
    "voxtral_clients_stalled", "Clients that were disconnected because they did not read for 10 s.", ()
)
ERRORS: Final = Family("voxtral_errors", "Errors that clients received, by code.", ("code",))
AUDIO: Final = Family("voxtral_audio_seconds", "Audio accepted from clients, by the name of their API key.", ("key",))
HTTP_REQUESTS: Final = Family(
    "voxtral_http_requests", "HTTP requests by method, route and status.", ("method", "route", "status")
)
HTTP_DURATION: Final = Family(
    "voxtral_http_request_duration_seconds",
    "From an HTTP request to the end of its response.",
    ("method", "route"),
    _HTTP_S,
)
DELIVERY_RESULTS: Final = ("delivered", "failed", "given_up", "gone", "dropped")
WEBHOOK_DELIVERIES: Final = Family(
    "voxtral_webhook_deliveries",
    "Attempts to send an event to a webhook, by result: delivered, failed (another attempt follows), given_up, gone "
    "(the receiver answered 410), or dropped because too many events waited.",
    ("result",),
)
WEBHOOK_DELAY: Final = Family(
    "voxtral_webhook_delay_seconds",
    "From the reading of an event of a session to its delivery to a webhook.",
    (),
    _DELIVERY_S,
)
FAMILIES: Final = (
    *(EVENT_LATENCY, STEP, FIRST_WORD, FINAL_DELAY, DELIVERY, CLIENTS_STALLED, SESSION, UPLOAD_RATE),
    *(REVISIONS, ERRORS, AUDIO, HTTP_REQUESTS, HTTP_DURATION, WEBHOOK_DELIVERIES, WEBHOOK_DELAY),
)
