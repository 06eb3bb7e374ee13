"""The order of outputs while finals wait for their speakers."""

from worker.engines.base import Final, Finished, SpeechStarted
from worker.speakers.labelling import Labelling
from worker.speakers.outputs import HeldOutputs

LABELLING = Labelling(((0, 1600),), ("A",))


def final(segment: int) -> Final:
    return Final(segment, "One.", 0, 1600, 1600, 1600, (), None, 1.0)


def held(asked: list[int] | None = None) -> HeldOutputs:
    asked = [] if asked is None else asked
    return HeldOutputs(lambda one: asked.append(one.segment), hold_s=1.0)


def test_outputs_without_a_final_pass_at_once() -> None:
    assert [one.output for one in held().take(SpeechStarted(0), 1.0, 0.0)] == [SpeechStarted(0)]


def test_final_and_all_that_follows_wait_for_its_label() -> None:
    asked: list[int] = []
    outputs = held(asked)
    assert outputs.take(final(0), 1.0, 0.0) == []
    assert outputs.take(SpeechStarted(5), 2.0, 0.1) == []
    assert outputs.checkpoint(1600)
    assert asked == [0]
    released = outputs.labelled(0, LABELLING, b"state") or []
    assert [one.output for one in released] == [final(0), SpeechStarted(5), None]
    assert (released[0].labelling, released[0].state, released[0].started_ms) == (LABELLING, b"state", 1.0)
    assert released[2].checkpoint_samples == 1600
    assert not outputs.checkpoint(3200)


def test_second_final_waits_for_its_own_label() -> None:
    outputs = held()
    outputs.take(final(0), 1.0, 0.0)
    outputs.take(final(1), 1.0, 0.0)
    assert [one.output for one in outputs.labelled(0, LABELLING, b"") or []] == [final(0)]
    outputs.take(Finished(), 1.0, 0.0)
    assert [one.output for one in outputs.labelled(1, LABELLING, b"") or []] == [final(1), Finished()]


def test_late_final_is_sent_without_a_label_and_its_label_follows() -> None:
    outputs = held()
    outputs.take(final(0), 1.0, 10.0)
    assert outputs.next_due_s() == 11.0
    assert outputs.overdue(10.9) == []
    assert [(one.output, one.labelling) for one in outputs.overdue(11.0)] == [(final(0), None)]
    assert outputs.labelled(0, LABELLING, b"") is None
    assert outputs.next_due_s() is None


def test_ending_session_releases_everything() -> None:
    outputs = held()
    outputs.take(final(0), 1.0, 0.0)
    outputs.take(Finished(), 1.0, 0.0)
    assert [one.output for one in outputs.release()] == [final(0), Finished()]


def test_end_of_the_session_waits_for_late_labels_but_not_for_ever() -> None:
    outputs = held()
    outputs.take(final(0), 1.0, 0.0)
    outputs.overdue(1.0)
    assert outputs.take(Finished(), 1.0, 2.0) == []
    assert outputs.labelled(0, LABELLING, b"") is None
    assert [one.output for one in outputs.released()] == [Finished()]
    outputs.take(final(1), 1.0, 3.0)
    outputs.overdue(4.0)
    outputs.take(Finished(), 1.0, 4.0)
    assert [one.output for one in outputs.overdue(9.0)] == [Finished()]
