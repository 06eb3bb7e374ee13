"""Admission to slots: live sessions at once or not at all, recordings in order of arrival."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import orjson

from frontend.access.session_tokens import viewer_token
from frontend.access.tokens import digest
from frontend.sessions.placement import Placement
from frontend.sessions.running_models import RunningModel
from shared.bus import keys, ownership
from shared.bus.registry import Registry
from shared.errors import ServerBusyError
from shared.protocol import OF_CHANNELS, OWN
from shared.session_options import SessionOptions

ADMIT_RETRY_S: Final = 0.1
GIVING_WAY_S: Final = keys.AWAITED_S + 0.5
"""How long a live session waits for the slot of a session whose client has disconnected."""
RETRY_AFTER_S: Final = 2.0
"""The retry hint of a rejected client: sessions end, and workers start, within seconds."""


class WaitingLine:
    """The sessions that wait for a slot of one of their models. FIFO per model: other models do not delay them."""

    def __init__(self) -> None:
        self._wanted: dict[str, frozenset[str]] = {}
        """Wanted models by session id, in arrival order."""

    def want(self, session_id: str, models: Iterable[str]) -> set[str]:
        """Join the queue, or keep the place in it; returns the models for which no earlier session waits."""
        wanted = frozenset(models)
        self._wanted[session_id] = wanted
        free = set(wanted)
        for other, others in self._wanted.items():
            if other == session_id or not free:
                break
            free -= others
        return free

    def __len__(self) -> int:
        return len(self._wanted)

    def leave(self, session_id: str) -> None:
        self._wanted.pop(session_id, None)


class Admission:
    """Reserves slots. One per frontend process: the queue holds the sessions of this process."""

    def __init__(self, registry: Registry, placement: Placement, claim_timeout_s: float) -> None:
        self._registry = registry
        self._placement = placement
        self._claim_timeout_s = claim_timeout_s
        self._line = WaitingLine()

    @property
    def waiting(self) -> int:
        """Recordings that wait for a slot."""
        return len(self._line)

    async def admit(
        self, session_id: str, resume_token: str, options: SessionOptions, *, waits: bool, key_name: str = ""
    ) -> SessionOptions:
        """Reserve the slots of the best model that has enough free ones; returns the options with that model.

        The model stays in the stored options, so a worker that takes the session over runs the same model. Raises
        ServerBusyError if every slot is taken or its worker is overloaded: after the claim timeout (`waits`), otherwise
        at once, or as soon as it is clear that no session frees its slot. Raises what `Placement.candidates` and Redis
        raise. Cancelling it leaves the queue. `key_name` is the name of the client's API key.
        """
        deadline_s = time.monotonic() + (self._claim_timeout_s if waits else GIVING_WAY_S)
        try:
            while True:
                models = await self._placement.candidates(options)
                if waits:
                    first_for = self._line.want(session_id, [model.name for model in models])
                    models = [model for model in models if model.name in first_for]
                chosen = await self._reserve(session_id, resume_token, options, models, key_name)
                if chosen is not None:
                    return chosen
                hopes = waits or await self._registry.awaits_clients(model.name for model in models)
                if not hopes or time.monotonic() > deadline_s:
                    raise ServerBusyError("Every slot is taken; try again shortly.", retry_after_s=RETRY_AFTER_S)
                await asyncio.sleep(ADMIT_RETRY_S)
        finally:
            self._line.leave(session_id)

    async def _reserve(
        self, session_id: str, resume_token: str, options: SessionOptions, models: list[RunningModel], key_name: str
    ) -> SessionOptions | None:
        for model in models:
            if not model.capacity:
                continue
            chosen = replace(options, model=model.name)
            wanted = ownership.NewSession(
                session_id,
                model.name,
                capacity=model.capacity,
                claim_timeout_s=self._claim_timeout_s,
                options=orjson.dumps(chosen.to_wire()),
                resume_digest=digest(resume_token),
                viewer_digest=digest(viewer_token(resume_token)),
                key_name=key_name,
                slots=options.slots,
                protocol=OWN if options.channels is None else OF_CHANNELS,
            )
            if await self._registry.admit(wanted):
                return chosen
        return None
