import json
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
