"""The OpenAPI document is valid, complete and has good examples, so that other tools can use it."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from tests.integration.api_clients import request
from tests.integration.node import needs_node
from tests.limits import limit_s
from tests.stack import PROJECT, Stack

LINTER = PROJECT / "tests/page/openapi.mjs"
OPERATIONS = {
    "createTranscription",
    "listen",
    "createTranslation",
    "listModels",
    "getModel",
    "createChatCompletion",
    "createClientSecret",
    "followSession",
    "getTranscript",
    "eraseSession",
    "getCallSession",
}


@pytest.fixture(scope="module")
def document(stack: Stack) -> Any:
    return json.loads(request(stack, "GET", "/openapi.json")[1])


def test_document_is_valid(document: Any) -> None:
    validate(document)


@needs_node
@pytest.mark.skipif(
    not (LINTER.parent / "node_modules/@redocly").exists(), reason="Redocly's rules are not installed (make types)"
)
def test_document_meets_the_rules_that_redocly_recommends(document: Any, tmp_path: Path) -> None:
    """They also check that each example is as its schema says, without undocumented fields."""
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document))
    linted = subprocess.run(["node", LINTER, file], capture_output=True, text=True, timeout=limit_s(60), check=True)
    assert linted.stdout == ""


def test_webhooks_have_examples_that_their_schemas_allow(document: Any) -> None:
    assert set(document["webhooks"]) == {"session.final", "session.done", "session.error"}
    for webhook in document["webhooks"].values():
        media = webhook["post"]["requestBody"]["content"]["application/json"]
        jsonschema.validate(media["example"], media["schema"])


def test_operations_have_names_and_examples(document: Any) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert {operation["operationId"] for operation in operations} == OPERATIONS
    for operation in operations:
        for media in operation.get("requestBody", {}).get("content", {}).values():
            assert "example" in media, operation["operationId"]
        for status, answer in operation["responses"].items():
            for media in answer.get("content", {}).values():
                assert media.get("examples") or not status.startswith("2"), operation["operationId"]
        for parameter in operation.get("parameters", []):
            assert parameter["description"], operation["operationId"]
            assert parameter["in"] != "path" or parameter["schema"]["examples"], operation["operationId"]
    assert {tag for operation in operations for tag in operation["tags"]} == {tag["name"] for tag in document["tags"]}


def test_objects_of_bodies_are_named_schemas(document: Any) -> None:
    """Code generators name their classes by them."""
    for path in document["paths"].values():
        for operation in path.values():
            for body in [operation.get("requestBody", {}), *operation["responses"].values()]:
                for media in body.get("content", {}).values():
                    assert "properties" not in json.dumps(media["schema"]), operation["operationId"]
    assert not re.search(r'"x-[a-z-]*schema"', json.dumps(document))
