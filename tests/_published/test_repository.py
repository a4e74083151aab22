from pathlib import Path

import pytest

from beholder._published.repository import may_be_repository


@pytest.mark.parametrize("name", ["owner/name", "stable-diffusion-v1-5/x", "owner/name.v2"])
def test_an_owner_and_a_name_may_be_a_repository(name: str) -> None:
    assert may_be_repository(name)


@pytest.mark.parametrize("name", ["name", "./name", "../name", "~/name", "/name", "a/b/c", ""])
def test_a_place_on_this_machine_is_none(name: str) -> None:
    assert not may_be_repository(name)


def test_neither_is_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    assert not may_be_repository("runs/mine")
    assert may_be_repository("runs/other")
