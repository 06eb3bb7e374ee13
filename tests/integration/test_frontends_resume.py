"""`resume` as clients of their own see it, at every frontend and from one to another."""

import contextlib
import itertools
from collections.abc import Iterator

import pytest

from tests.integration.native_clients import FRONTENDS, Client, ask, open_client, reset, tell, token_of, tone, until
from tests.stack import Stack

SECOND_SAMPLES = 16_000


@pytest.fixture
def clients(stack: Stack) -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as opened:
        yield opened


def opened(stack: Stack, frontend: str, clients: contextlib.ExitStack) -> Client:
    return clients.enter_context(contextlib.closing(open_client(stack, frontend)))


@pytest.mark.parametrize(("first", "second"), list(itertools.product(FRONTENDS, FRONTENDS)))
def test_the_newer_connection_wins_and_the_older_one_is_told(
    stack: Stack, clients: contextlib.ExitStack, first: str, second: str
) -> None:
    older, newer = opened(stack, first, clients), opened(stack, second, clients)
    ready = ask(older, type="start", partials=False)
    older.send_audio(tone(1))
    tell(older, type="commit", number=1)
    (final,) = until(older, "final")

    resumed = ask(newer, type="resume", seq=final["seq"], **token_of(ready))
    assert (resumed["type"], resumed["seq"]) == ("ready", final["seq"])
    assert (resumed["audio_received_samples"], resumed["number"], resumed["ended"]) == (SECOND_SAMPLES, 1, False)
    error = until(older, "error")[-1]
    assert (error["code"], error["session_id"]) == ("session_resumed", ready["session_id"])
    assert error["seq"] == final["seq"] + 1

    older.send_audio(tone(1))  # it has not read the error yet
    assert ask(older, type="ping")["type"] == "pong"
    newer.send_audio(tone(1))
    tell(newer, type="commit", number=1)  # sent again by a client that does not look at `number`
    tell(newer, type="stop", number=2)
    (final, done) = until(newer, "done")
    assert (final["start"], final["end"], done["duration"]) == (1.0, 2.0, 2.0)
    assert ask(older, type="start")["type"] == "ready"


def test_a_session_can_be_resumed_again_and_again_without_audio_between(
    stack: Stack, clients: contextlib.ExitStack
) -> None:
    client = open_client(stack, "websocket")
    ready = ask(client, type="start")
    client.send_audio(tone(0.5))
    until(client, "partial")
    for _ in range(4):
        reset(client)
        client = open_client(stack, "websocket")
        assert ask(client, type="resume", seq=1, **token_of(ready))["audio_received_samples"] == SECOND_SAMPLES // 2
    tell(client, type="stop")
    assert until(client, "done")[-1]["duration"] == 0.5
    client.close()


def test_events_of_a_session_that_has_ended_can_still_be_read(stack: Stack, clients: contextlib.ExitStack) -> None:
    first, second = opened(stack, "tcp", clients), opened(stack, "websocket", clients)
    ready = ask(first, type="start", partials=False)
    first.send_audio(tone(1))
    tell(first, type="stop")
    seen = until(first, "done")
    again = ask(second, type="resume", seq=1, **token_of(ready))
    assert again["ended"]
    assert ready["resume_timeout_s"] == again["resume_timeout_s"] == stack.settings.session.resume_timeout_s
    assert until(second, "done") == seen


def test_safe_audio_is_confirmed_to_who_asks_for_it(stack: Stack, clients: contextlib.ExitStack) -> None:
    client = opened(stack, "tcp", clients)
    ask(client, type="start", acknowledge=True, partials=False)
    client.send_audio(tone(2))
    positions = [until(client, "received")[-1]["audio_received_samples"]]
    while positions[-1] < 1.5 * SECOND_SAMPLES:
        positions.append(until(client, "received")[-1]["audio_received_samples"])
    assert positions == sorted(positions)
    tell(client, type="stop")
    assert [event["type"] for event in until(client, "done") if event["type"] != "received"] == ["final", "done"]


def test_the_seq_of_an_error_is_good_enough_to_resume_after(stack: Stack, clients: contextlib.ExitStack) -> None:
    older, newer = opened(stack, "tcp", clients), opened(stack, "websocket", clients)
    ready = ask(older, type="start", partials=False)
    older.send_audio(tone(1))
    tell(older, type="commit", number=1)
    (final,) = until(older, "final")
    assert ask(newer, type="resume", seq=1, **token_of(ready))["seq"] == 1
    error = until(older, "error")[-1]
    assert ask(older, type="resume", seq=error["seq"], **token_of(ready))["seq"] == final["seq"]
    tell(older, type="stop", number=2)
    assert until(older, "done")[-1]["seq"] == final["seq"] + 1


@pytest.mark.parametrize("number", [0, -1, "1", 1.5, True])
def test_a_number_that_is_none_is_refused(stack: Stack, clients: contextlib.ExitStack, number: object) -> None:
    client = opened(stack, "tcp", clients)
    ask(client, type="start")
    error = ask(client, type="commit", number=number)
    assert (error["code"], "number" in error["message"]) == ("invalid_field", True)
