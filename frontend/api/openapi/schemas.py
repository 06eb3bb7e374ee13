"""The pieces of JSON Schema of which the OpenAPI document is made."""

from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
NUMBER: Final[Schema] = {"type": "number"}
INTEGER: Final[Schema] = {"type": "integer"}
FLAG: Final[Schema] = {"type": "boolean"}
NULLABLE_TEXT: Final[Schema] = {"type": ["string", "null"]}


def object_of(properties: Schema, *required: str, **more: Any) -> Schema:
    """All properties are required where none is named."""
    return {"type": "object", "properties": properties, "required": list(required or properties), **more}


def list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def said(schema: Schema, description: str) -> Schema:
    """The schema with words."""
    return {**schema, "description": description}


def json_of(description: str, schema: Schema) -> Schema:
    """An answer of JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def events_of(description: str) -> Schema:
    """An answer of server-sent events; the schema is of each."""
    event = object_of({"id": TEXT, "event": TEXT, "data": TEXT}, "data", description=description)
    return {"schema": event}
