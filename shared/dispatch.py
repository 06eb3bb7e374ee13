"""Dispatches a session to the workers: one Celery task, sent by name.

Frontends dispatch new sessions and those that have lost their worker; a draining worker dispatches its sessions.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias

from kombu.exceptions import OperationalError

from shared.celery_config import SESSION_TASK, Queue, celery_app, queue_name
from shared.celery_internals import expire_queue
from shared.config.settings import Settings
from shared.session_options import SessionOptions

REPLY_TIMEOUT_S: Final = 5.0
"""Without it, Celery's client would wait for ever for a Redis that hangs, and every other session with it."""


Dispatch: TypeAlias = Callable[[str, SessionOptions, Queue, str], Awaitable[None]]
"""Dispatches a session, as `Dispatcher.dispatch` does: session id, options, queue, name of the API key."""


class Dispatcher:
    """Celery's client blocks (3 to 4 ms a task), so it runs in its own thread."""

    def __init__(self, settings: Settings) -> None:
        self.app = celery_app(settings)
        self.app.conf.broker_transport_options |= {"socket_timeout": REPLY_TIMEOUT_S}
        self._expires_s = settings.session.claim_timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dispatch")

    async def dispatch(self, session_id: str, options: SessionOptions, queue: Queue, key_name: str = "") -> None:
        """Queue the session's task for the workers of its options' model. The task expires if no worker takes it in
        time.

        The task's id is the session's. Flower shows its arguments, so they contain no text of a client; the name of the
        session's API key is only for Flower. Workers read the options from Redis. Raises ConnectionError if Redis is
        unavailable, and RedisError if it rejects the task.
        """
        assert options.model is not None
        name, shown = queue_name(queue, options.model), {"options": options.without_text(), "key": key_name}
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._send, session_id, shown, name)
        except OperationalError as error:  # Celery's error for a lost connection
            raise ConnectionError(str(error)) from error

    def _send(self, session_id: str, arguments: dict[str, Any], queue: str) -> None:
        with self.app.producer_or_acquire() as producer:
            self.app.send_task(
                SESSION_TASK,
                args=(session_id,),
                kwargs=arguments,
                task_id=session_id,
                queue=queue,
                ignore_result=True,
                producer=producer,
            )
            # There may never be another worker, so the queue, a Redis list, expires with its newest task. A worker
            # that takes an old task finds that its session can no longer be claimed.
            expire_queue(producer, queue, self._expires_s)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.app.close()
