from typing import Any

import pytest

from beholder.rewards._model_card_head import Origin, aspects_of, data_of, head, origin_of
from beholder.rewards._towers._licences import UNKNOWN, Licence

TOWERS = {"kind": "open_clip", "name": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"}
ACCURACY = {"accuracy": 0.71236, "low": 0.68, "high": 0.74, "pairs": 300, "prompts": 60}
RECORD = {
    "protocol": "imagereward/1",
    "data": {"name": "hpdv2", "split": "test"},
    "aspects": {"overall": ACCURACY, "detail": {"accuracy": None}},
}


@pytest.mark.parametrize(
    ("config", "licence", "models"),
    [
        (
            {"reward": "mps", "options": {"towers": TOWERS}},
            "mit",
            ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K",),
        ),
        ({"reward": "mps"}, "mit", ("RE-N-Y/mpsv1",)),
        ({"reward": "mps", "options": {"weights": "mine.bin"}}, UNKNOWN, ()),
        ({"reward": "mps", "options": {"config": {"cross": {}}}}, None, ()),
        ({"reward": "mps", "options": {"towers": {**TOWERS, "pretrained": None}}}, None, ()),
        ({"reward": "mps", "options": {"towers": {**TOWERS, "pretrained": "own.pt"}}}, UNKNOWN, ()),
        ({"reward": "tiny"}, None, ()),
        ({"reward": "runs/earlier"}, UNKNOWN, ()),
        ({"reward": "module:Class"}, UNKNOWN, ()),
        (
            {"reward": "richhf", "options": {"t5": {"folder": "google/t5-v1_1-base"}}},
            "apache-2.0",
            ("google/t5-v1_1-base",),
        ),
        ({}, UNKNOWN, ()),
    ],
)
def test_the_run_tells_what_the_weights_began_with(
    config: dict[str, Any], licence: str | None, models: tuple[str, ...]
) -> None:
    found = origin_of(config)
    assert found.licence == licence
    assert found.base_models == models


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
