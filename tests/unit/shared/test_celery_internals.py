"""Celery and Kombu still have what `shared.celery_internals` relies on."""

from celery import Celery
from celery.app.amqp import AMQP
from celery.app.base import Celery as Application
from kombu.connection import Connection
from kombu.transport.redis import Channel, SentinelChannel

from shared.bus.primary_connections import BrokerConnection
from shared.celery_config import broker_url, celery_app
from shared.celery_internals import RETRY_LONGEST_S, BrokerTransport, QuickAmqp, QuickConnection
from shared.config.settings import Settings
from tests.internals import Canary

MODULE = "shared/celery_internals.py"


def test_celery_makes_its_connections_with_the_class_that_we_name() -> None:
    canary = Canary("celery", MODULE)
    canary.has(AMQP, "Connection")
    canary.calls(Application._connection, "amqp", "Connection")
    connection = Celery("canary", broker="redis://127.0.0.1:1/0", amqp=QuickAmqp).connection_for_write()
    canary.holds(
        isinstance(connection, QuickConnection), "the broker's connections are not of the class amqp.Connection"
    )
    canary.holds(connection.clone().__class__ is QuickConnection, "clone() makes a connection of another class")


def test_kombu_pauses_as_it_is_told() -> None:
    canary = Canary("kombu", MODULE)
    options = ("interval_start", "interval_step", "interval_max")
    canary.calls(Connection.ensure_connection, "_ensure_connection")
    canary.calls(Connection._ensure_connection, *options)
    canary.holds(RETRY_LONGEST_S < 30, "our pauses are no shorter than Kombu's")


def test_channel_of_redis_has_the_client() -> None:
    Canary("kombu", MODULE).has(Channel, "client")


def test_broker_of_sentinels_has_our_connections_and_shows_no_password() -> None:
    canary = Canary("kombu", MODULE)
    canary.calls(SentinelChannel._get_pool, "_sentinel_managed_pool")
    settings = Settings(redis={"url": "redis+sentinel://:hush@h1,h2:7/mymaster/3?sentinel_password=sesame"})
    assert broker_url(settings) == "sentinel://h1:26379/3;sentinel://h2:7/3"
    connection = celery_app(settings).connection_for_write()
    canary.holds(connection.transport_cls is not None, "a connection has no transport_cls")
    transport = connection.create_transport()
    canary.holds(isinstance(transport, BrokerTransport), "the alias `sentinel` is not ours")
    channel = object.__new__(transport.Channel)
    channel.connection = transport
    for name in channel.from_transport_options:
        if name in connection.transport_options:
            setattr(channel, name, connection.transport_options[name])
    pool = channel._sentinel_managed_pool()
    canary.holds(issubclass(pool.connection_class, BrokerConnection), "the pool has connections of another class")
    kept = pool.connection_kwargs
    assert (kept["password"], kept["db"], kept["primary"].address.service) == ("hush", 3, "mymaster")
    assert not {"hush", "sesame"} & set(str(connection.info()).replace("'", " ").split())
