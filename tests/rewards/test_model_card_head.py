from typing import Any

import pytest

from beholder.rewards._model_card_head import aspects_of, data_of, head
from beholder.rewards._model_card_origin import Origin
from beholder.rewards._towers._licences import Licence

ACCURACY = {"accuracy": 0.71236, "low": 0.68, "high": 0.74, "pairs": 300, "prompts": 60}
RECORD = {
    "protocol": "imagereward/1",
    "data": {"name": "hpdv2", "split": "test"},
    "aspects": {"overall": ACCURACY, "detail": {"accuracy": None}},
}


def test_of_several_parts_the_strictest_licence_is_named() -> None:
    origin = Origin(licences=(Licence("a", "mit"), Licence("b", "cc-by-nc-4.0")))
    assert head("x", "mps", origin, [])["license"] == "cc-by-nc-4.0"


def test_what_is_not_known_is_left_out_of_the_head() -> None:
    top = head("x", "module:Class", Origin(), [])
    assert top.keys() == {"library_name", "pipeline_tag", "tags"}
    assert "module:Class" not in top["tags"]


def test_results_are_the_numbers_of_the_evaluation() -> None:
    (entry,) = head("x", "mps", Origin(), [RECORD])["model-index"]
    (result,) = entry["results"]
    assert result["dataset"] == {"type": "hpdv2 test", "name": "hpdv2 test"}
    (metric,) = result["metrics"]
    assert metric["value"] == 0.7124
    assert metric["name"] == "overall, protocol imagereward/1"
    assert metric["args"] == {"low": 0.68, "high": 0.74, "pairs": 300}


def test_an_evaluation_without_numbers_gives_no_result() -> None:
    assert aspects_of({"aspects": {"overall": {"accuracy": None}}}) == {}
    assert aspects_of({"aspects": ["overall"]}) == {}
    assert "model-index" not in head("x", "mps", Origin(), [{"aspects": {}}])


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"data": {"name": "hpdv2"}}, "hpdv2"),
        ({"data": "judgements"}, "judgements"),
        ({}, "not recorded"),
        ({"data": {}}, "not recorded"),
    ],
)
def test_data_are_named_as_the_record_does(record: dict[str, Any], told: str) -> None:
    assert data_of(record) == told
