"""What we use of Celery's and Kombu's insides. Everything else of the service uses their public interface.

- Shorter pauses until a worker asks again whether Redis is back (`QuickAmqp`). Kombu's own grow to 30 s, and no setting
  changes them; a worker takes no task meanwhile.
- Connections to the primary that Sentinels name (`BrokerTransport`). Kombu's own transport for Sentinel believes the
  first Sentinel that answers, sends the Sentinels' password to Flower with its options, and waits for ever for a
  former primary that hangs.
- The Redis client behind a producer (`expire_queue`): Celery has no queues that end with their youngest task.

`tests/unit/shared/test_celery_internals.py` fails when Celery or Kombu change what this relies on.
"""

import math
from typing import Any, Final

from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.messaging import Producer
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import SentinelChannel, SentinelTransport
from redis import ConnectionPool
from redis.connection import parse_url

from shared.bus.primary import Primary
from shared.bus.primary_connections import BrokerConnection, BrokerTlsConnection

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


class BrokerChannel(SentinelChannel):
    """Its transport option `primary` names a `Primary`, which has the passwords: Flower sees a broker's options."""

    from_transport_options = (*SentinelChannel.from_transport_options, "primary")  # type: ignore[assignment]
    connection_class = BrokerConnection  # type: ignore[assignment]
    connection_class_ssl = BrokerTlsConnection  # type: ignore[assignment]
    primary: str

    def _sentinel_managed_pool(self, asynchronous: bool = False) -> ConnectionPool:
        primary = Primary.named(self.primary)
        url = parse_url(primary.address.url_of(primary.address.nodes[0]))  # type: ignore[no-untyped-call]
        credentials = {name: url[name] for name in ("username", "password") if name in url}
        options = self._connparams(asynchronous)  # type: ignore[no-untyped-call]
        return ConnectionPool(**(options | credentials), primary=primary)


class BrokerTransport(SentinelTransport):
    """`sentinel://` in this process."""

    Channel = BrokerChannel


TRANSPORT_ALIASES["sentinel"] = f"{__name__}:{BrokerTransport.__name__}"


def expire_queue(producer: Producer, queue: str, after_s: float) -> None:
    """Have Redis delete the queue, which is a list, and its tasks after this time, unless this is called again."""
    producer.channel.client.expire(queue, math.ceil(after_s))
