"""Hands a session to the workers: one Celery task, sent by name."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shared.celery_config import SESSION_TASK, Queue, celery_app, queue_name
from shared.config import Settings


class Dispatcher:
    """Celery's client blocks (3 to 4 ms a task), so it has a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._app = celery_app(settings)
        self._expires_s = settings.session.claim_timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dispatch")

    async def dispatch(self, session_id: str, options: dict[str, Any], queue: Queue) -> None:
        """Queue the session's task for the workers of its options' model. It expires when none takes it in time.

        The task's id is the session's, and its arguments are what Flower shows.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._send, session_id, options, queue)

    def _send(self, session_id: str, options: dict[str, Any], queue: Queue) -> None:
        self._app.send_task(
            SESSION_TASK,
            args=(session_id,),
            kwargs={"options": options},
            task_id=session_id,
            queue=queue_name(queue, options["model"]),
            expires=self._expires_s,
            ignore_result=True,
        )

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._app.close()
