"""Celery and Kombu still have what `shared.celery_internals` relies on."""

from celery import Celery
from celery.app.amqp import AMQP
from celery.app.base import Celery as Application
from kombu.connection import Connection
from kombu.transport.redis import Channel

from shared.celery_internals import RETRY_LONGEST_S, QuickAmqp, QuickConnection
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
