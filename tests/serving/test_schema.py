"""A stranger reads the OpenAPI document and asks everything that it says, and what it forbids."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi import checks

from beholder.serving.app import create_app
from beholder.serving.guards import guarded
from tests.serving.clients import TOKEN, context_of

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
FORM = "multipart/form-data"
NEED_A_TEMPLATE = ("/setup", "/predict")
"""Their text must be a labelling configuration with our controls, which no schema can say."""

CONTEXT = context_of(token=TOKEN)
APP = guarded(create_app(CONTEXT), CONTEXT)
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP, headers=HEADERS).exclude(
    path_regex=r"^/\{reward\}/"  # the same functions as without
)


@SCHEMA.parametrize()
@settings(
    max_examples=4,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_the_server_does_what_its_document_says(case: Any) -> None:
    if case.meta.generation.mode.is_positive and isinstance(case.body, dict):
        case.body |= beyond_schemas(case.body)
    case.call_and_validate(headers=HEADERS, excluded_checks=unjudged(case))


def beyond_schemas(body: dict[str, Any]) -> dict[str, Any]:
    """What a valid body must say beside: rewards that are served, and one prompt for all."""
    known = {"rewards": ["light"], "reward": ["light"], "prompt": ["a fox"]}
    return {key: value for key, value in known.items() if body.get(key) is not None}


def unjudged(case: Any) -> list[Any]:
    if case.path in NEED_A_TEMPLATE:
        return [checks.positive_data_acceptance]
    if case.media_type == FORM:
        return [checks.negative_data_rejection]  # one prompt for all is no list, and yet allowed
    return []
