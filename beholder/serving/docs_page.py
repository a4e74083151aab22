"""GET /docs: how to ask, made from the OpenAPI document, without scripts and foreign files."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from beholder._page.document import Page, render_page
from beholder.serving.context import Context

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_SCHEMAS = "#/components/schemas/"
_DEEPEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One address and method, as the page shows it.

    Attributes:
        method, path, summary: of the document.
        bodies: media type -> an example of its shape, with the type of each value in its place.
        answer: the same of the answer 200; "" where it is not JSON.
        statuses: status -> what it means.
    """

    method: str
    path: str
    summary: str
    bodies: Mapping[str, str]
    answer: str
    statuses: Mapping[str, str]


def router(context: Context) -> APIRouter:
    """The page's route."""
    made = APIRouter()
    pages: list[str] = []

    @made.get("/docs", include_in_schema=False)
    def docs(request: Request) -> Response:  # in a thread: the first one takes a while to make
        if not pages:
            pages.append(page(request.app.openapi(), secured=bool(context.settings.access.token)))
        return HTMLResponse(pages[0], headers={"Content-Security-Policy": _policy(pages[0])})

    return made


def page(document: Mapping[str, Any], *, secured: bool) -> str:
    """The whole page; every text of the document is escaped."""
    groups: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, of in methods.items():
            group = groups.setdefault(of.get("tags", ["others"])[0], [])
            group.append(_operation(document, method, path, of))
    frame = Page(
        brand="beholder serve",
        title="How to ask for scores",
        summary="Pictures and their prompts go in, numbers that agree with people come out. "
        "This server needs nothing of the network to show you how.",
        sections={"ask": "A first answer", "addresses": "Every address"},
        protocol={"version": document["info"]["version"], "OpenAPI": "/openapi.json"},
        style="docs.css",
    )
    return render_page(frame, _TEMPLATES, [*groups], {"groups": groups, "secured": secured})


def _policy(html: str) -> str:
    """Nothing loads or runs but the style that is written into the page."""
    style = _STYLE.search(html)
    digest = hashlib.sha256(style[1].encode() if style else b"").digest()
    return (
        f"default-src 'none'; style-src 'sha256-{base64.b64encode(digest).decode()}'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _operation(
    document: Mapping[str, Any], method: str, path: str, of: Mapping[str, Any]
) -> Operation:
    asked = of.get("requestBody", {}).get("content", {})
    responses = of["responses"]
    told = responses.get("200", {}).get("content", {}).get("application/json", {})
    return Operation(
        method=method.upper(),
        path=path,
        summary=of.get("description") or of.get("summary", ""),
        bodies={kind: _shown(document, body["schema"]) for kind, body in asked.items()},
        answer=_shown(document, told["schema"]) if told.get("schema") else "",
        statuses={status: response["description"] for status, response in responses.items()},
    )


def _shown(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    return json.dumps(_shape(document, schema, _DEEPEST), indent=2, ensure_ascii=False)


def _shape(document: Mapping[str, Any], schema: Mapping[str, Any], deepest: int) -> object:
    """An example of a schema: its keys, and the name of a type for each value."""
    if deepest == 0:
        return "…"
    within = partial(_shape, document, deepest=deepest - 1)
    if "properties" in schema:
        return {key: within(of) for key, of in schema["properties"].items()}
    if "items" in schema or "prefixItems" in schema:
        return [within(of) for of in schema.get("prefixItems", [schema.get("items")])]
    if isinstance(schema.get("additionalProperties"), Mapping):
        return {"NAME": within(schema["additionalProperties"])}
    form = _form(document, schema)
    return within(form) if form is not None else _words(schema)


def _form(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the schema refers to: by name, or as the first of several that is not null."""
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix(_SCHEMAS)
        found: Mapping[str, Any] = document["components"]["schemas"][name]
        return found
    return next((of for of in schema.get("anyOf", ()) if of.get("type") != "null"), None)


def _words(schema: Mapping[str, Any]) -> str:
    """Of a plain value."""
    words = schema.get("enum", [schema["const"]] if "const" in schema else ())
    return " | ".join(map(str, words)) if words else str(schema.get("type", "any"))
