"""What we use of Celery's and Kombu's insides. Everything else of the service uses their public interface.

- Shorter pauses until a worker asks again whether Redis is back (`QuickAmqp`). Kombu's own grow to 30 s, and no setting
  changes them; a worker takes no task meanwhile.
- The Redis client behind a producer (`expire_queue`): Celery has no queues that end with their youngest task.

`tests/unit/shared/test_celery_internals.py` fails when Celery or Kombu change what this relies on.
"""

import math
from typing import Any, Final

from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.messaging import Producer

RETRY_FIRST_S: Final = 0.5
RETRY_STEP_S: Final = 0.5
RETRY_LONGEST_S: Final = 2.0


class QuickConnection(Connection):
    """Asks again soon whether Redis is back."""

    def ensure_connection(self, *arguments: Any, **options: Any) -> Any:
        pauses = {"interval_start": RETRY_FIRST_S, "interval_step": RETRY_STEP_S, "interval_max": RETRY_LONGEST_S}
        return super().ensure_connection(*arguments, **(pauses | options))  # type: ignore[no-untyped-call]


class QuickAmqp(AMQP):  # type: ignore[misc]
    """`Celery(…, amqp=QuickAmqp)`"""

    Connection = QuickConnection


def expire_queue(producer: Producer, queue: str, after_s: float) -> None:
    """Have Redis delete the queue, which is a list, and its tasks after this time, unless this is called again."""
    producer.channel.client.expire(queue, math.ceil(after_s))
