"""The client's table of states: what follows what, as the vectors say that drive the page's table, too."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.unit.frontend.client.test_outbox import sent
from voxtral_client.events import Ready
from voxtral_client.outbox import AudioForgottenError, Outbox
from voxtral_client.resume_rules import MOVES, OVER, Event, Machine, State, error_event, pause_s
from voxtral_client.resumption import Resumption

VECTORS = Path(__file__).parents[3] / "vectors"
RESUME: dict[str, list[dict[str, Any]]] = json.loads((VECTORS / "resume.json").read_text())
OUTBOX: list[dict[str, Any]] = json.loads((VECTORS / "outbox.json").read_text())
READY = {"session_id": "s", "seq": 1, "resume_token": "t"}
OPTIONS = {"encoding": "pcm_s16le", "sample_rate": 16_000}


def named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", RESUME["sequences"], ids=named)
def test_table_moves_as_the_vectors_say(vector: dict[str, Any]) -> None:
    machine = Machine()
    for event, state, actions in vector["steps"]:
        assert list(machine.move(Event(event))) == actions, event
        assert machine.state == state, event


def test_every_state_can_be_reached_and_left() -> None:
    assert set(MOVES) == set(State)
    reached = {target for rows in MOVES.values() for target, _ in rows.values()}
    assert reached | {State.IDLE} == set(State)
    assert {state for state, rows in MOVES.items() if not rows} == OVER
    assert all(Event.LEFT in MOVES[state] for state in set(State) - OVER)


def test_vectors_name_every_event() -> None:
    assert {event for vector in RESUME["sequences"] for event, _, _ in vector["steps"]} == set(Event)


@pytest.mark.parametrize("vector", RESUME["errors"], ids=lambda vector: f"{vector['code']}-{vector['event']}")
def test_error_is_final_or_worth_another_attempt(vector: dict[str, Any]) -> None:
    event = error_event(vector["code"], ends_session=vector["ends_session"], is_whole=vector["is_whole"])
    assert event == vector["event"]


@pytest.mark.parametrize("vector", RESUME["pauses"], ids=str)
def test_pauses_grow_to_a_limit(vector: dict[str, Any]) -> None:
    assert pause_s(vector["attempt"], vector["chance"]) == pytest.approx(vector["pause_s"])


@pytest.mark.parametrize("vector", RESUME["answers"], ids=named)
async def test_answer_to_a_resume_sends_again_what_the_server_lacks(vector: dict[str, Any]) -> None:
    memory = Resumption(OPTIONS)
    memory.answered(Ready.from_wire(READY))
    for samples in vector["puts"]:
        await memory.outbox.put(bytes(2 * samples))
    await sent(memory.outbox)
    memory.outbox.confirm(vector["confirms"])
    memory.is_stopped = vector.get("stops", False)
    assert memory.answered(Ready.from_wire(READY | vector["ready"])) == vector["event"]
    assert sum(len(part) for part in await sent(memory.outbox) if isinstance(part, bytes)) == vector["unsent"]


@pytest.mark.parametrize("vector", RESUME["limits"], ids=str)
def test_ready_reports_how_long_a_session_can_be_resumed(vector: dict[str, Any]) -> None:
    memory = Resumption(OPTIONS)
    memory.answered(Ready.from_wire(READY | vector["ready"]))
    assert memory.resume_timeout_s == vector["resume_timeout_s"]
    for _ in range(vector["keep_s"]):
        assert memory.outbox.take_in(bytes(32_000))
    assert not memory.outbox.take_in(bytes(2))


@pytest.mark.parametrize("vector", OUTBOX, ids=named)
async def test_outbox_behaves_as_the_vectors_say(vector: dict[str, Any]) -> None:
    outbox = Outbox("pcm_s16le", vector["sample_rate"])
    for step in vector["steps"]:
        await do(outbox, step)
        for name in ("is_full", "is_whole", "kept_bytes"):
            assert step.get(name, getattr(outbox, name)) == getattr(outbox, name), step


async def do(outbox: Outbox, step: dict[str, Any]) -> None:
    """One step: fields other than the operation's are what it leads to."""
    match step:
        case {"put": size, "taken": taken}:
            assert {outbox.take_in(bytes(size)) for _ in range(step.get("repeat", 1))} == {taken}, step
        case {"control": kind}:
            outbox.put_control({"type": kind})
        case {"send": items}:
            assert [part if isinstance(part, int) else len(part) for part in await sent(outbox)] == items, step
        case {"take": _}:
            await sent(outbox)
        case {"confirm": position}:
            outbox.confirm(position)
        case {"rewind": [position, number], "possible": possible}:
            with nullcontext() if possible else pytest.raises(AudioForgottenError):
                outbox.rewind(position, number)
        case {"keep_for": seconds}:
            outbox.keep_for(seconds)
        case {"close": _}:
            outbox.close()
        case _:
            raise AssertionError(f"no operation in {step}")
