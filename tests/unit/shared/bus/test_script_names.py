"""Names that Lua and Python share come from one place: no script and no module spells them for itself."""

import ast
import re
from pathlib import Path

import pytest

from shared.bus import keys, messages
from shared.bus.lua import audio, limits, sessions, slots, totals
from shared.bus.lua.names import NAMES, named
from shared.bus.messages import ControlWord, EntryField
from shared.bus.states import SessionState
from tests.stack import PROJECT

REDIS_WORDS = {
    *(
        "NOMKSTREAM",
        "MAXLEN",
        "COUNT",
        "+",
        "MINID",
        "~",
        "NX",
        "PX",
        "STREAM",
        "WITHSCORES",
        "-inf",
        "+inf",
        "(",
        "-*",
        "-0",
    ),
    *("0-1", "0", "1", "", "}", ",", '","seq":', ',"connection":', ',"consumed":', ',"session_id":"', "WEIGHTS"),
    *("last-generated-id", "^%d+", "equal or smaller", "table", "%.3f"),
}
"""Redis' own options, and pieces of JSON, ids and Lua."""
SCRIPTS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": text
    for module in (sessions, slots, audio, limits, totals)
    for name, text in vars(module).items()
    if name.isupper() and isinstance(text, str) and "redis.call" in text
}


def literals(script: str) -> set[str]:
    """The strings of a script, but for the names of commands and messages for people."""
    code = re.sub(r"redis\.error_reply\([^\n]*\)", "", script)
    code = re.sub(r"redis\.p?call\('[A-Z]+'", "", code)
    return set(re.findall(r"'([^'\n]*)'", code))


def test_all_scripts_are_found() -> None:
    found = {name.partition(".")[2] for name in SCRIPTS}
    assert found >= {
        "RESERVE",
        "KEEP",
        "RELEASE",
        "RANK",
        "ADMIT",
        "END_OPENING",
        "CLAIM",
        "RENEW",
        "OFFER",
        "WRITE",
        "ERASE",
        "BEAT",
        "APPEND",
        "ATTACH",
        "TAKE",
        "ENTER",
    }


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_every_name_in_a_script_is_a_shared_one(name: str) -> None:
    begun = (messages.PROGRESS, messages.ATTACHED, messages.ERROR)
    shared = {*NAMES.values(), *keys.SESSION_FIELDS, *REDIS_WORDS}
    unknown = {one for one in literals(SCRIPTS[name]) if one not in shared and not one.startswith(begun)}
    assert not unknown


def test_scripts_interpolate_states_and_words() -> None:
    """The text in the source holds none of them: a name that changes, changes in one place."""
    spelled = {*map(str, SessionState), *map(str, ControlWord)}
    for module in (sessions, slots, audio, totals):
        tree = ast.parse(Path(module.__file__ or "").read_text())
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        for text in texts:
            if "redis.call" in text:
                assert not literals(text) & spelled


def test_unknown_name_in_a_script_is_an_error() -> None:
    with pytest.raises(KeyError, match="no_such_name"):
        named("return '$no_such_name'")


def test_no_module_but_keys_builds_a_key() -> None:
    found = []
    for folder in ("frontend", "worker", "shared"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            source = path.read_text()
            if path == PROJECT / "shared/bus/keys.py" or "voxtral:" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                text = node.value if isinstance(node, ast.Constant) else None
                if isinstance(text, bytes):
                    text = text.decode(errors="replace")
                if isinstance(text, str) and re.match(r"voxtral:\S+$", text):
                    found.append(f"{path.relative_to(PROJECT)}:{node.lineno} {text}")
    assert not found


def test_modules_read_only_fields_that_a_session_has() -> None:
    read: set[str] = set()
    for folder in ("frontend", "worker", "shared"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            source = path.read_text()
            if "keys.session(" not in source:
                continue
            for call in ast.walk(ast.parse(source)):
                if isinstance(call, ast.Call) and any("keys.session(" in ast.unparse(one) for one in call.args[:2]):
                    constants = [one for argument in call.args[1:] for one in ast.walk(argument)]
                    read |= {
                        one.value for one in constants if isinstance(one, ast.Constant) and str(one.value).islower()
                    }
    assert {"state", "viewer", "options"} <= read
    assert read <= keys.SESSION_FIELDS


def test_session_of_an_audio_stream() -> None:
    assert keys.session_of(keys.audio("0123abcd").encode()) == "0123abcd"


def test_fields_of_an_entry_are_distinct() -> None:
    assert len(set(EntryField)) == len(list(EntryField)) == 4
