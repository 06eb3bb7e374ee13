"""Tests wait on conditions. A sleep is the pause of a loop that checks a condition, or it is listed here."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent.parent
MEANT: Final = {
    "browser/test_resuming.py": (1, "the network breaks at random moments"),
    "integration/test_admission.py": (3, "clients ask one after the other"),
    "integration/test_client_connections.py": (1, "somebody speaks"),
    "integration/test_client_resumes.py": (3, "somebody speaks; the network breaks at random moments"),
    "integration/test_frontends_refuse.py": (2, "the passing of time is the subject"),
    "integration/test_recovery_speech.py": (1, "somebody speaks"),
    "integration/test_redis_outage.py": (5, "somebody speaks; an outage lasts longer than leases"),
    "integration/workers.py": (1, "somebody speaks"),
    "plugins/livekit_stt.py": (1, "somebody speaks"),
    "plugins/pipecat_stt.py": (1, "somebody speaks"),
    "unit/frontend/connections/test_changes.py": (1, "on a virtual clock"),
    "unit/frontend/connections/test_connection.py": (5, "on a virtual clock"),
    "unit/frontend/connections/test_delivery.py": (1, "on a virtual clock"),
    "unit/frontend/decoding/test_live.py": (2, "on a virtual clock"),
    "unit/frontend/monitoring/test_status.py": (1, "on a virtual clock"),
    "unit/frontend/sessions/test_disk_rewriting.py": (6, "on a virtual clock"),
    "unit/frontend/sessions/test_gateway.py": (2, "on a virtual clock"),
    "unit/frontend/sessions/test_session.py": (1, "on a virtual clock"),
    "unit/shared/test_event_loop_delay.py": (2, "on a virtual clock"),
    "unit/shared/test_tasks.py": (2, "of tasks that are cancelled"),
}
"""How many sleeps of a file stand for time that passes outside, and why.

Benchmarks, chaos and GPU checks are not tests. In unit tests with a virtual clock, a sleep takes no time."""


def ends(loop: ast.While) -> bool:
    return any(isinstance(part, ast.Return | ast.Break) for part in ast.walk(loop))


def sleeps(tree: ast.Module) -> Iterator[ast.Call]:
    """Calls of a sleep of more than one turn of the event loop, outside of loops that check a condition."""
    asking = {
        id(call)
        for loop in ast.walk(tree)
        if isinstance(loop, ast.While) and (not isinstance(loop.test, ast.Constant) or ends(loop))
        for call in ast.walk(loop)
    }
    for call in ast.walk(tree):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "sleep"
            and not (call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)
            and id(call) not in asking
        ):
            yield call


def test_no_test_sleeps_without_a_reason() -> None:
    found = {}
    for path in TESTS.rglob("*.py"):
        name = path.relative_to(TESTS).as_posix()
        if not name.startswith(("bench/", "chaos/", "gpu/")):
            found[name] = len(list(sleeps(ast.parse(path.read_text()))))
    allowed = {name: count for name, (count, _) in MEANT.items() if count}
    assert {name: count for name, count in found.items() if count} == allowed
