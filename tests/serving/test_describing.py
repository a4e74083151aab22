"""The OpenAPI document tells what routes take and give that read by hand."""

from typing import Any

from pydantic import BaseModel

from beholder.serving.describing import (
    OF_SCORING,
    answer,
    json_body,
    refusals,
    schema_of,
    tidied,
)
from beholder.serving.refusals import RefusalError
from beholder.serving.v1 import ReloadError


class Inner(BaseModel):
    size: tuple[int, int]


class Outer(BaseModel):
    first: Inner
    others: dict[str, list[Inner]]


def kinds(of: type[RefusalError] = RefusalError) -> list[type[RefusalError]]:
    return [of, *(kind for below in of.__subclasses__() for kind in kinds(below))]


def test_every_refusal_that_exists_has_a_meaning_for_the_document() -> None:
    for kind in kinds():
        assert refusals(kind.status)[kind.status]["description"]
    assert ReloadError in kinds()


def test_a_route_may_refuse_as_all_do_and_as_it_says() -> None:
    assert list(refusals(429)) == [401, 403, 429, 500]
    assert list(refusals(429, token=False)) == [403, 429, 500]
    assert set(refusals(*OF_SCORING)) == {401, 403, 408, 413, 415, 422, 429, 500, 503, 504}
    waits = [status for status, of in refusals(*OF_SCORING).items() if "headers" in of]
    assert waits == [429, 503]


def test_schemas_stand_alone() -> None:
    schema = schema_of(Outer)
    assert "$ref" not in str(schema)
    assert "$defs" not in schema
    inner = schema["properties"]["first"]
    assert schema["properties"]["others"]["additionalProperties"]["items"] == inner
    assert inner["required"] == ["size"]
    described = json_body(Outer)["requestBody"]
    assert described == {"required": True, "content": {"application/json": {"schema": schema}}}
    assert answer(Outer, headers={})[200]["model"] is Outer


def test_what_no_route_gives_is_taken_out_and_tokens_put_in() -> None:
    supposed = {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}
    ours = {"schema": {"$ref": "#/components/schemas/Refused"}}

    def document() -> dict[str, Any]:
        return {
            "paths": {
                "/a": {"get": {"responses": {"200": {}, "422": {"content": {"j": supposed}}}}},
                "/b": {"get": {"responses": {"200": {}, "422": {"content": {"j": ours}}}}},
            },
            "components": {"schemas": {"HTTPValidationError": {}, "Refused": {}}},
        }

    tidy = tidied(document(), secured=False)
    assert [list(p["get"]["responses"]) for p in tidy["paths"].values()] == [
        ["200"],
        ["200", "422"],
    ]
    assert list(tidy["components"]["schemas"]) == ["Refused"]
    assert "security" not in tidy
    secured = tidied(document(), secured=True)
    assert secured["security"] == [{"bearer": []}, {"basic": []}]
    assert tidied(secured, secured=True) == secured
