"""Receivers that do not answer take no time from others."""

from worker.webhooks.silent_receivers import FAILURES, FIRST_PAUSE_S, LONGEST_PAUSE_S, MAX_RECEIVERS, SilentReceivers


class Clock:
    """Seconds that only the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def silenced(clock: Clock, failures: int = FAILURES) -> SilentReceivers:
    receivers = SilentReceivers(clock)
    for _ in range(failures):
        assert receivers.may_try("a")
        receivers.note("a", answered=False)
    return receivers


def test_receiver_is_left_alone_after_some_failures_in_a_row() -> None:
    assert silenced(Clock(), FAILURES - 1).may_try("a")
    receivers = silenced(Clock())
    assert not receivers.may_try("a")
    assert receivers.may_try("b")


def test_answer_ends_the_row() -> None:
    receivers = silenced(Clock(), FAILURES - 1)
    receivers.note("a", answered=True)
    receivers.note("a", answered=False)
    assert receivers.may_try("a")


def test_one_request_after_each_pause_finds_out_whether_it_answers() -> None:
    clock = Clock()
    receivers, pause_s = silenced(clock), FIRST_PAUSE_S
    for _ in range(8):
        clock.now += pause_s
        assert receivers.may_try("a")
        assert not receivers.may_try("a"), "only one at a time"
        receivers.note("a", answered=False)
        pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
        clock.now += pause_s - 0.1
        assert not receivers.may_try("a")
        clock.now += 0.1 - pause_s
    clock.now += LONGEST_PAUSE_S
    assert receivers.may_try("a")
    receivers.note("a", answered=True)
    assert all(receivers.may_try("a") for _ in range(3))


def test_requests_that_were_sent_together_cause_one_pause() -> None:
    clock = Clock()
    receivers = SilentReceivers(clock)
    assert all(receivers.may_try("a") for _ in range(3 * FAILURES))
    for _ in range(3 * FAILURES):
        receivers.note("a", answered=False)
    assert not receivers.may_try("a")
    clock.now += FIRST_PAUSE_S
    assert receivers.may_try("a")


def test_number_of_receivers_is_bounded() -> None:
    receivers = silenced(Clock())
    for number in range(MAX_RECEIVERS):
        receivers.note(str(number), answered=False)
    assert receivers.may_try("a")
