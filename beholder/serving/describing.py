"""What the OpenAPI document says of bodies and statuses that FastAPI cannot find out itself.

Bodies are read by hand, strictly and in bounded memory, so the routes declare none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

JSON = "application/json"
_REF = "#/$defs/"
_SUPPOSED = ("HTTPValidationError", "ValidationError")

_MEANINGS = {
    401: "No token, or a wrong one.",
    403: "The host, the origin or the action is not allowed.",
    404: "There is nothing of this name.",
    408: "The body did not come in time.",
    409: "The weights were not loaded anew: that failed, or others wait for the same.",
    413: "The body, or the number of its items, is over a limit.",
    415: "The body has a type that is not read here, or is compressed.",
    422: "The body is not what is asked for here.",
    429: "The queue is full; Retry-After says when to come again.",
    500: "The server failed; its log tells why, under the request id.",
    503: "Nothing can be scored now; Retry-After says when to come again.",
    504: "It took longer than a request may.",
}

OF_ALL = (403, 500)
"""What anybody may be answered."""

OF_BODIES = (408, 413, 415, 422, 503)
"""What a route with a body may answer beside."""

OF_SCORING = (*OF_BODIES, 429, 504)
"""What a route that scores may answer beside."""

OPEN: dict[str, Any] = {"security": []}
"""`openapi_extra` of a route that needs no token."""


class Why(BaseModel):
    """Why there is no answer."""

    code: str = Field(description="For programs.", examples=["malformed"])
    message: str = Field(description="For people.")


class Refused(BaseModel):
    """A request that is refused as a whole."""

    error: Why
    request_id: str = Field(description="Also in the header X-Request-ID, and in the log.")


def refusals(*statuses: int, token: bool = True) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that may refuse with these statuses, and those that all have.

    `token` says whether it is closed to those without one.
    """
    found = sorted({*OF_ALL, *statuses, *((401,) if token else ())})
    return {of: {"model": Refused, "description": _MEANINGS[of], **_more(of)} for of in found}


def _more(status: int) -> dict[str, Any]:
    described = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}
    return {"headers": {"Retry-After": described}} if status in (429, 503) else {}


def answer(model: type[BaseModel], **more: object) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route whose answer is JSON as `model` says."""
    return {200: {"model": model, "description": "The answer.", **more}}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is JSON as `model` says."""
    return body({JSON: {"schema": schema_of(model)}})


def body(content: Mapping[str, object]) -> dict[str, Any]:
    """`openapi_extra` of a route whose body has one of several types."""
    return {"requestBody": {"required": True, "content": content}}


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model, self-contained; the model must not hold itself."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    return {key: _inlined(value, definitions) for key, value in schema.items()}


def _inlined(part: object, definitions: Mapping[str, object]) -> object:
    if isinstance(part, list):
        return [_inlined(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    ref = part.get("$ref")
    if isinstance(ref, str):
        return _inlined(definitions[ref.removeprefix(_REF)], definitions)
    return {key: _inlined(value, definitions) for key, value in part.items()}


def tidied(document: dict[str, Any], *, secured: bool) -> dict[str, Any]:
    """The OpenAPI document as it should be.

    FastAPI supposes a 422 of its own shape of every route with a parameter; no route gives it.
    `secured` says that a token is asked for.
    """
    components = document.setdefault("components", {})
    for name in _SUPPOSED:
        components.get("schemas", {}).pop(name, None)
    for operation in _operations(document):
        responses = operation["responses"]
        if _SUPPOSED[0] in str(responses.get("422")):
            del responses["422"]
    if secured:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "basic": {"type": "http", "scheme": "basic", "description": "The token as password."},
        }
        document["security"] = [{"bearer": []}, {"basic": []}]
    return document


def _operations(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]
