import json
import math
from pathlib import Path

import numpy as np
import pytest

import beholder
from beholder.errors import ConfigError
from beholder.training.run_folder import (
    claim,
    differences,
    sole_user,
    suggestion,
    unclaimed_on_failure,
    write_json,
    write_versions,
)


def test_a_folder_has_one_user_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "run"
    another = pytest.raises(ConfigError, match="another process trains")
    with sole_user(folder), another, sole_user(folder):
        pass
    with sole_user(folder):
        pass


def test_the_same_claim_passes_and_another_is_refused_by_key(tmp_path: Path) -> None:
    given = {"fit": {"steps": 3, "rate": 1e-5}, "options": {}, "sizes": (1, 2)}
    claim(tmp_path, "config.yaml", given)
    claim(tmp_path, "config.yaml", given)
    other = {**given, "fit": {"steps": 4, "rate": 1e-5}, "new": True}
    with pytest.raises(ConfigError, match=r"fit\.steps was 3, now 4; new was None, now True"):
        claim(tmp_path, "config.yaml", other)


def test_differences_name_the_nested_key() -> None:
    old = {"a": {"b": 1, "c": 2}, "d": 3}
    assert differences(old, old) == []
    assert differences(old, {"a": {"b": 1}, "d": {"e": 3}}) == [
        "a.c was 2, now None",
        "d was 3, now {'e': 3}",
    ]


def test_versions_are_those_installed(tmp_path: Path) -> None:
    write_versions(tmp_path)
    versions = json.loads((tmp_path / "versions.json").read_text())
    assert versions["beholder"] == beholder.__version__
    assert versions["numpy"] == np.__version__
    assert {"python", "torch", "transformers", "accelerate"} <= set(versions)


def test_json_is_readable_text(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"grün": 1})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "grün": 1\n}\n'


def test_a_near_name_is_suggested() -> None:
    assert suggestion("detial", ["detail", "overall"]) == "did you mean 'detail'?"
    assert suggestion("zzz", ["detail", "overall"]) == "known: detail, overall"


def test_a_run_that_fails_before_it_made_anything_can_be_started_otherwise(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), unclaimed_on_failure(tmp_path):
        claim(tmp_path, "config.yaml", {"steps": 1})
        raise ZeroDivisionError
    claim(tmp_path, "config.yaml", {"steps": 2})
    with pytest.raises(ZeroDivisionError), unclaimed_on_failure(tmp_path):
        raise ZeroDivisionError
    with pytest.raises(ConfigError, match="steps was 2, now 3"):  # a claim of before stays
        claim(tmp_path, "config.yaml", {"steps": 3})


def test_a_run_that_failed_after_it_made_something_keeps_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), unclaimed_on_failure(tmp_path):
        claim(tmp_path, "config.yaml", {"steps": 1})
        (tmp_path / "start.json").write_text("{}")
        raise ZeroDivisionError
    with pytest.raises(ConfigError, match="steps was 1, now 2"):
        claim(tmp_path, "config.yaml", {"steps": 2})


def test_numbers_that_are_not_finite_are_null_in_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": math.nan, "b": [1.5, math.inf], "c": {"d": (2, None)}})
    told = json.loads((tmp_path / "a.json").read_text())
    assert told == {"a": None, "b": [1.5, None], "c": {"d": [2, None]}}
