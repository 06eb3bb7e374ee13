"""The finished OpenAPI document: who publishes it and where, its named schemas, and its examples."""

from typing import Any, Final

from fastapi import FastAPI

from frontend.api.openapi.examples import REQUESTS, RESPONSES
from frontend.api.openapi.schemas import NAMED_SCHEMA, Schema
from frontend.api.openapi.webhooks import webhooks
from shared.version import VERSION

INFO: Final[dict[str, Any]] = {
    "title": "Voxtral Real-time Streaming",
    "version": VERSION,
    "description": "Live speech to text. Clients of OpenAI and Mistral work unchanged: set their base URL to this "
    "server. `asyncapi.yaml` describes the WebSockets.",
    "license_info": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    # Relative to the address of this document, so it is right behind every proxy.
    "servers": [{"url": ".", "description": "The server of this document."}],
    "openapi_tags": [
        {"name": "Audio", "description": "Recordings to text, in the formats of OpenAI and Mistral."},
        {"name": "Models", "description": "The running models."},
        {"name": "Chat", "description": "Questions about recordings."},
        {"name": "Realtime", "description": "Tokens for web pages that open live sessions."},
        {"name": "Live captions", "description": "Events and transcripts of live sessions, for viewers."},
        {"name": "Sessions", "description": "Live sessions, for the clients that opened them."},
    ],
}
"""Arguments of the application."""


class DocumentedApi(FastAPI):
    """Its document lacks FastAPI's own 422: failed checks of FastAPI are answered with 400."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            _remove_validation_errors(document)
            schemas: Schema = document["components"]["schemas"]
            _name_schemas(document["paths"], schemas)
            document["components"]["schemas"] = dict(sorted(schemas.items()))
            _add_examples(document["paths"])
            document["webhooks"] = webhooks()
            self.openapi_schema = document
        return self.openapi_schema


def _remove_validation_errors(document: Schema) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)


def _name_schemas(node: Any, schemas: Schema) -> None:
    """Moves the schemas beside references into `schemas`."""
    if isinstance(node, list):
        for part in node:
            _name_schemas(part, schemas)
    elif isinstance(node, dict):
        schema = node.pop(NAMED_SCHEMA, None)
        for part in [*node.values(), schema]:
            _name_schemas(part, schemas)
        if schema is not None:
            name = node["$ref"].rpartition("/")[2]
            assert schemas.setdefault(name, schema) == schema, f"two schemas have the name {name}"


def _add_examples(paths: Schema) -> None:
    for operations in paths.values():
        for operation in operations.values():
            name = operation["operationId"]
            for media in operation.get("requestBody", {}).get("content", {}).values():
                media.setdefault("example", REQUESTS.get(name))
            for status, answer in operation["responses"].items():
                for kind, media in answer.get("content", {}).items():
                    if status.startswith("2"):
                        media["examples"] = {key: {"value": value} for key, value in RESPONSES[name][kind].items()}
