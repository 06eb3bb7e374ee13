"""Building blocks of JSON Schema for the OpenAPI document."""

from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
NUMBER: Final[Schema] = {"type": "number"}
INTEGER: Final[Schema] = {"type": "integer"}
FLAG: Final[Schema] = {"type": "boolean"}
NULLABLE_TEXT: Final[Schema] = {"type": ["string", "null"]}


def object_of(properties: Schema, *required: str, **more: Any) -> Schema:
    """All properties are required unless some are named."""
    return {"type": "object", "properties": properties, "required": list(required or properties), **more}


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
    event = object_of({"id": TEXT, "event": TEXT, "data": TEXT}, "data", description=description)
    return {"schema": event}
