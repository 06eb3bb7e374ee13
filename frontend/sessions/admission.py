"""Who gets a slot: live sessions at once or not at all, recordings in the order in which they came."""

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
from shared.bus import keys
from shared.bus.registry import Registry
from shared.errors import ServerBusyError
from shared.events import SessionOptions

ADMIT_RETRY_S: Final = 0.1
GIVING_WAY_S: Final = keys.AWAITED_S + 0.5
"""A live session waits this long for the slot of one whose client is gone."""
RETRY_AFTER_S: Final = 2.0
"""The hint that a refused client gets: sessions end, and workers start, in seconds."""


class WaitingLine:
    """Who waits for a slot of which models. Nobody overtakes; who waits for other models is not held up."""

    def __init__(self) -> None:
        self._wanted: dict[str, frozenset[str]] = {}
        """By who waits, the first to come first."""

    def want(self, who: str, models: Iterable[str]) -> set[str]:
        """Take a place, or keep the one taken before; the models that nobody before it waits for."""
        wanted = frozenset(models)
        self._wanted[who] = wanted
        free = set(wanted)
        for other, others in self._wanted.items():
            if other == who or not free:
                break
            free -= others
        return free

    def leave(self, who: str) -> None:
        self._wanted.pop(who, None)


class Admission:
    """Reserves slots. One per frontend process: the line is of those who wait here."""

    def __init__(self, registry: Registry, placement: Placement, claim_timeout_s: float) -> None:
        self._registry = registry
        self._placement = placement
        self._claim_timeout_s = claim_timeout_s
        self._line = WaitingLine()

    async def admit(
        self, session_id: str, resume_token: str, options: SessionOptions, *, waits: bool, key_name: str = ""
    ) -> SessionOptions:
        """Reserve a slot of the best model that has one; the options with that model in them.

        The model stays in the stored options, so that whoever takes the session over runs the same one. Raises
        ServerBusyError when every slot is taken, or of a worker that is overloaded: after the claim timeout (`waits`),
        as soon as it is clear that no session gives way, or at once. Raises what `Placement.candidates` and Redis
        raise. Cancelling it gives the place in the line up. `key_name` is that of the client's API key.
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
            if await self._registry.admit(
                session_id,
                model.name,
                capacity=model.capacity,
                claim_timeout_s=self._claim_timeout_s,
                options=orjson.dumps(chosen.to_wire()),
                resume_digest=digest(resume_token),
                viewer_digest=digest(viewer_token(resume_token)),
                key_name=key_name,
            ):
                return chosen
        return None
