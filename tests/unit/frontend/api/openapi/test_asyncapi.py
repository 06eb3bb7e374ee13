"""The documents describe the options that the protocols check."""

import re

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from frontend.api.openapi.asyncapi import DOCUMENT, with_options
from frontend.protocols.options import CONFIGURE, ONE_SHOT, OPTIONS, START, options_of
from shared.session_options import SessionOptions
from tests.socket_messages import document
from tests.stack import PROJECT


def test_asyncapi_has_the_options_of_the_table() -> None:
    written = DOCUMENT.read_text()
    assert written == with_options(written), "run python -m frontend.api.openapi.asyncapi"


@pytest.mark.parametrize("message", [ONE_SHOT, START, CONFIGURE])
def test_asyncapi_offers_each_message_its_options(message: str) -> None:
    messages = document()["components"]["messages"]
    properties = next(
        one["payload"]["properties"]
        for one in messages.values()
        if one["payload"].get("properties", {}).get("type") == {"const": message}
    )
    offered = {name for name, schema in properties.items() if "/option_" in schema.get("$ref", "")}
    assert offered == {option.name for option in options_of(message)}


def test_native_protocol_page_lists_every_option() -> None:
    page = (PROJECT / "docs/native-protocol.md").read_text()
    listed = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert set(OPTIONS) - {"words", "partials", "recording"} <= listed


def test_every_option_is_a_field_of_a_session() -> None:
    """`channel_mode` decides whether `channels` is set."""
    assert set(OPTIONS) - {"channel_mode"} <= set(SessionOptions.__dataclass_fields__)


def test_every_message_has_examples_that_its_schema_allows() -> None:
    registry = Registry().with_resource("urn:asyncapi", DRAFT202012.create_resource(document()))
    for name, message in document()["components"]["messages"].items():
        if "name" not in message:  # binary
            continue
        schema = {"$ref": f"urn:asyncapi#/components/messages/{name}/payload"}
        assert message.get("examples"), f"{name} has no example"
        for example in message["examples"]:
            Draft202012Validator(schema, registry=registry).validate(example["payload"])
            if not name.startswith("whisperlive"):  # its messages have no type
                kind = "event" if name.startswith(("twilio", "telnyx")) else "type"
                assert example["payload"][kind] == message["name"], name
