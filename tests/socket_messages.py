"""The messages that the AsyncAPI document describes, to check what a dialect sends and receives."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from frontend.api.openapi import asyncapi


@cache
def document() -> dict[str, Any]:
    """Parsed once by each process; do not change it."""
    return asyncapi.document()


@cache
def message_validator(component: str) -> Draft202012Validator:
    """Of a message by its name in `components`."""
    registry = Registry().with_resource("urn:asyncapi", DRAFT202012.create_resource(document()))
    return Draft202012Validator({"$ref": f"urn:asyncapi#/components/messages/{component}/payload"}, registry=registry)
