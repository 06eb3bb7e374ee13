"""Building blocks of JSON Schema for the OpenAPI document."""

from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
NUMBER: Final[Schema] = {"type": "number"}
INTEGER: Final[Schema] = {"type": "integer"}
FLAG: Final[Schema] = {"type": "boolean"}
NULL: Final[Schema] = {"type": "null"}
NULLABLE_TEXT: Final[Schema] = {"type": ["string", "null"]}
NAMED_SCHEMA: Final = "x-named-schema"
"""The key of a schema beside a reference to it. Never in the finished document."""


def object_of(properties: Schema, *required: str, name: str | None = None, **more: Any) -> Schema:
    """All properties are required unless some are named. A schema with a name is a named schema of the document."""
    schema = {"type": "object", "properties": properties, "required": list(required or properties), **more}
    return schema if name is None else named(name, schema)


def named(name: str, schema: Schema) -> Schema:
    """A reference to the schema under this name; `DocumentedApi` moves the schema into the components."""
    return {"$ref": f"#/components/schemas/{name}", NAMED_SCHEMA: schema}


def list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def said(schema: Schema, description: str) -> Schema:
    """The schema with a description."""
    return {**schema, "description": description}


CHANNEL: Final = said(INTEGER, "The channel, from 0 on, if `channel_mode` is `separate`.")
CONFIDENCE: Final = said(NUMBER, "0 to 1: the probability that the model gives the words. Absent if unknown.")


SPEAKER: Final[Schema] = {
    "speaker": said(TEXT, "With `diarize`: `A`, `B`, …, or the name of a known speaker."),
    "speaker_unsure": {"const": True, "description": "In place of `speaker`: the service cannot tell who spoke."},
}


def json_of(description: str, schema: Schema) -> Schema:
    """A JSON response."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def events_of(description: str) -> Schema:
    """A response of server-sent events; the schema describes each event."""
    event = object_of({"id": TEXT, "event": TEXT, "data": TEXT}, "data", name="ServerSentEvent")
    return {"schema": said(event, description)}
