"""Sessions with separate channels whose finals are decoded again."""

from typing import Any

import numpy as np
import orjson

from shared.bus.ownership import Owner
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import Mode, SessionOptions
from tests.unit.worker.second_pass.tasks import answer
from worker.claiming import claimed
from worker.engines.base import Final, Finished
from worker.second_pass.backlog import Task
from worker.second_pass.revisions import Revisions
from worker.session import WorkerSession

S = SAMPLE_RATE_HZ
LEFT, RIGHT = 1000, 2000


def session(finals: tuple[dict[str, Any], ...] = (), **options: Any) -> WorkerSession:
    wanted = SessionOptions(channels=2, revise=True, **options)
    held = {b"checkpoint": b"0", b"segment": b"%d" % len(finals), b"seq": b"%d" % (1 + len(finals))}
    held[b"options"] = orjson.dumps(wanted.to_wire())
    revisions = Revisions(by_default=False, modes=(Mode.TRANSCRIBE,))
    return claimed(Owner("s1", "echo", "w1", 1), held, finals, 0.0, 0, revisions=revisions)


def hear(session: WorkerSession, samples: int) -> None:
    """Audio whose samples say which channel they are of."""
    pcm = np.tile(np.array([LEFT, RIGHT], "<i2"), samples).tobytes()
    for handle, part in session.parts(samples, pcm):
        session.keep(handle, part)
    session.arrived(samples, 0.0, 0.0)


def say(session: WorkerSession, channel: int, segment: int, text: str, start: int) -> None:
    end = start + S
    final = Final(segment, text, start, end, end, end, words=(), language="en", model_ms=1.0)
    session.take(final, 0, 0, session.handles[channel])


def tasks(session: WorkerSession) -> list[Task]:
    assert session.revisions is not None
    return session.revisions.take_tasks()


def told(session: WorkerSession) -> list[dict[str, Any]]:
    return [orjson.loads(payload.partition(b"\n")[0]) for _, payload in session.outbox]


def test_each_final_is_decoded_again_with_the_audio_of_its_channel() -> None:
    one = session()
    hear(one, 4 * S)
    say(one, 1, 0, "Won", 0)
    say(one, 0, 0, "too", 2 * S)

    found = tasks(one)

    assert [(task.handle, task.index, set(task.pcm.tolist())) for task in found] == [
        (one.handles[1], 0, {RIGHT}),
        (one.handles[0], 1, {LEFT}),
    ]


def test_revised_has_the_channel_and_the_segment_that_clients_know() -> None:
    one = session()
    hear(one, 4 * S)
    say(one, 1, 0, "Won", 0)
    say(one, 0, 0, "too", 2 * S)

    one.revise(1, answer("Two."))

    event = told(one)[-1]
    kind, payload = one.outbox[-1]
    assert (event["type"], event["segment"], event["channel"], event["text"]) == ("revised", 1, 0, "Two.")
    assert (kind, orjson.loads(payload.partition(b"\n")[2])["channel"]) == ("r1", 0)


def test_done_waits_for_all_channels_and_has_the_revised_text() -> None:
    one = session()
    hear(one, 4 * S)
    say(one, 0, 0, "too", 2 * S)
    say(one, 1, 0, "Won", 0)
    for handle in one.handles:
        one.take(Finished(), 0, 0, handle)
    assert one.ending is None

    one.revise(0, answer("Two."))
    one.revise(1, answer("One."))

    assert (told(one)[-1]["type"], told(one)[-1]["text"]) == ("done", "One.\nTwo.")


def test_new_owner_keeps_the_places_of_earlier_finals() -> None:
    earlier = {"segment": 0, "channel": 1, "text": "Before.", "start": 0.0, "end": 0.5, "revised_seq": 3}
    one = session(finals=(earlier,))
    hear(one, 4 * S)
    say(one, 0, 0, "too", 2 * S)

    [task] = tasks(one)
    one.revise(task.index, answer("Two."))
    for handle in one.handles:
        one.take(Finished(), 0, 0, handle)

    assert task.index == 1
    assert told(one)[-1]["text"] == "Before.\nTwo."


def test_session_that_does_not_want_revisions_keeps_no_audio() -> None:
    one = session()
    one.configure(SessionOptions(channels=2), b"{}", 0)
    hear(one, 4 * S)
    say(one, 0, 0, "One", 0)
    assert tasks(one) == []
