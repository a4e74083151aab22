"""Settings and source as texts that differ where the features may."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from beholder.eval.extractors._beyond_weights import joint_id, settings_text, source_text
from tests.eval.extractors import toy


class Settings:
    """What transformers calls a configuration."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    def to_dict(self) -> dict[str, Any]:
        return self.values


def model(**values: Any) -> nn.Module:
    made: Any = nn.Identity()
    made.config = Settings(**values)
    network: nn.Module = made
    return network


def test_either_half_changes_the_joint_id() -> None:
    found = {joint_id(weights, text) for weights in "ab" for text in ("", "x", "y")}
    assert len(found) == 6
    assert all(len(each) == 16 for each in found)


def test_settings_do_not_tell_where_a_network_lay() -> None:
    first = model(heads=2, act="gelu", _name_or_path="/a", vision={"dtype": "x", "depth": 1})
    same = model(act="gelu", heads=2, transformers_version="6", vision={"depth": 1})
    assert settings_text(first) == settings_text(same)
    for other in (model(heads=3, act="gelu"), model(heads=2, act="gelu", vision={"depth": 2})):
        assert settings_text(first) != settings_text(other)


def test_the_source_is_that_of_all_modules_that_make_a_network_but_torch() -> None:
    found = source_text(toy.network, toy.__name__, toy.network())
    assert found == Path(str(toy.__file__)).read_text()
    both = source_text(toy.network, toy.__name__, Own())
    assert both is not None
    assert found in both
    assert Path(__file__).read_text() in both


def test_source_of_no_file_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typed_in", ModuleType("typed_in"))
    assert source_text(toy.network, "typed_in", toy.network()) is None
    assert source_text(toy.network, "of_no_module", toy.network()) is None
    assert source_text(dict, toy.__name__, toy.network()) is None


class Own(nn.Module):
    """A network of this module."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values
