"""The line of those who wait for a slot: nobody overtakes, and who wants something else is not held up."""

from frontend.sessions.admission import WaitingLine


def test_first_to_come_is_first_for_a_model() -> None:
    line = WaitingLine()
    assert line.want("first", ["a"]) == {"a"}
    assert line.want("second", ["a"]) == set()
    line.leave("first")
    assert line.want("second", ["a"]) == {"a"}


def test_a_place_is_kept_however_often_is_asked() -> None:
    line = WaitingLine()
    line.want("first", ["a"])
    line.want("second", ["a"])
    for _ in range(3):
        assert line.want("second", ["a"]) == set()
        assert line.want("first", ["a"]) == {"a"}


def test_who_waits_for_another_model_is_not_held_up() -> None:
    line = WaitingLine()
    line.want("first", ["a"])
    assert line.want("second", ["a", "b"]) == {"b"}
    assert line.want("third", ["b"]) == set()
    assert line.want("fourth", ["c"]) == {"c"}


def test_leaving_twice_is_nothing() -> None:
    line = WaitingLine()
    line.want("first", ["a"])
    line.leave("first")
    line.leave("first")
    assert line.want("second", ["a"]) == {"a"}
