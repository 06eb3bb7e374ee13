"""One attempt to send an event to its webhook, and what follows from the answer."""

import time
from dataclasses import dataclass, field
from enum import StrEnum
from logging import DEBUG, WARNING
from typing import Any, Final

import structlog

from shared.bus.webhooks import Outbox, Pending
from shared.metrics.families import WEBHOOK_DELAY, WEBHOOK_DELIVERIES
from shared.metrics.metrics import Metrics
from shared.outgoing.addresses import RefusedUrlError
from shared.outgoing.client import Answer, OutgoingClient, OutgoingError
from shared.webhooks.schedule import Backoff, retry_after_s
from shared.webhooks.signing import Signer
from worker.webhooks.bodies import sent_at_s
from worker.webhooks.silent_receivers import SilentReceivers

GONE: Final = 410
"""The receiver wants no more events (Standard Webhooks)."""
SILENT: Final = "the receiver has not answered the requests before"

log = structlog.get_logger(__name__)


class Result(StrEnum):
    DELIVERED = "delivered"
    FAILED = "failed"
    """Another attempt follows."""
    GIVEN_UP = "given_up"
    GONE = "gone"
    SETTLED = "settled"
    """The event had been delivered or erased before."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Sends events. One per process; its work is done on the event loop."""

    outbox: Outbox
    client: OutgoingClient
    signer: Signer
    backoff: Backoff
    metrics: Metrics
    timeout_s: float
    silent: SilentReceivers = field(default_factory=SilentReceivers)

    async def attempt(self, name: str) -> dict[str, Any]:
        """Send an event once; returns the result, for Flower. Raises Redis' errors: the event is then due again."""
        pending = await self.outbox.pending(name)
        if pending is None:
            return {"result": Result.SETTLED}
        answer, reason = await self._send(pending)
        about = {"attempt": pending.attempts + 1, "reason": reason}
        result = await self._conclude(pending, answer, about)
        self.metrics.counter(WEBHOOK_DELIVERIES, result).add()
        return {"result": result, **{field: value for field, value in about.items() if value}}

    async def _send(self, pending: Pending) -> tuple[Answer | None, str]:
        """The answer, if there is one, and why the event counts as not delivered; empty if it is delivered."""
        receiver = self._shown(pending.webhook.url)
        if not self.silent.may_try(receiver):
            return None, SILENT
        message_id = pending.name.replace("/", "-")
        signed = self.signer.headers(message_id, int(time.time()), pending.body, pending.webhook.key_name)
        headers = {"Content-Type": "application/json", **signed}
        try:
            answer = await self.client.post(pending.webhook.url, pending.body, headers, within_s=self.timeout_s)
        except (RefusedUrlError, OutgoingError) as error:
            self.silent.note(receiver, answered=False)
            return None, str(error)
        self.silent.note(receiver, answered=True)
        return answer, "" if 200 <= answer.status < 300 else f"the receiver answered {answer.status}"

    async def _conclude(self, pending: Pending, answer: Answer | None, about: dict[str, Any]) -> Result:
        if not about["reason"]:
            self.metrics.histogram(WEBHOOK_DELAY).observe(max(0.0, time.time() - sent_at_s(pending.body)))
            await self.outbox.settle(pending.name)
            return Result.DELIVERED
        about |= {"session_id": pending.session_id, "receiver": self._shown(pending.webhook.url)}
        if answer is not None and answer.status == GONE:
            log.warning("webhook_gone", **about, consequence="no more events of the session are sent")
            await self.outbox.drop_all(pending.session_id)
            await self.outbox.settle(pending.name)
            return Result.GONE
        wanted = None if answer is None else answer.headers.get("retry-after")
        unsent_for_s = time.time() - sent_at_s(pending.body) if about["reason"] == SILENT else None
        pause_s = self.backoff.pause_s(about["attempt"], retry_after_s(wanted, time.time()), unsent_for_s=unsent_for_s)
        if pause_s is None:
            log.error("webhook_given_up", **about)
            await self.outbox.settle(pending.name)
            return Result.GIVEN_UP
        level = DEBUG if about["reason"] == SILENT else WARNING
        log.log(level, "webhook_failed", **about, next_in_s=round(pause_s, 1))
        await self.outbox.again_later(pending, pause_s)
        return Result.FAILED

    def _shown(self, url: str) -> str:
        """The URL without path and query, which may hold secrets."""
        try:
            return self.client.check(url).shown
        except RefusedUrlError:
            return "…"
