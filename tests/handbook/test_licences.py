import importlib
import pkgutil
from pathlib import Path

import pytest

from beholder.annotation import sources
from beholder.eval import extractors
from beholder.rewards import names, reward_class
from handbook.licences import NETWORKS, commercial, licences_page

PAGE = Path(__file__).parents[2] / "docs" / "licences.md"


def test_the_page_of_the_docs_is_that_of_the_cards() -> None:
    assert PAGE.read_text(encoding="utf-8") == licences_page(), "run `make catalogue`"


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", "yes"),
        ("Apache-2.0 AND LicenseRef-LIVE", "yes"),
        ("CC-BY-NC-4.0", "**no**"),
        ("MIT AND CC-BY-NC-4.0", "**no**"),
        ("apple-amlr", "**no**"),
        ("AGPL-3.0-only", "yes, if the source is passed on"),
        ("not stated", "unknown"),
        ("MIT AND Something-1.0", "unknown"),
        ("none", "no weights"),
        ("the members'", "as its parts"),
    ],
)
def test_a_licence_says_whether_commerce_is_allowed(licence: str, allowed: str) -> None:
    assert commercial(licence) == allowed


def test_every_reward_and_data_set_is_listed() -> None:
    page = licences_page()
    assert all(f"| [{name}](rewards.md#{name}) |" in page for name in names())
    assert all(f"| {sources.load(name).card.name} |" in page for name in sources.names())


def test_no_licence_of_a_reward_is_unknown() -> None:
    licences = [reward_class(name).card.weights_license for name in names()]
    assert "unknown" not in map(commercial, licences)


def test_every_network_that_is_fetched_is_listed() -> None:
    found = {m.name for m in pkgutil.iter_modules(extractors.__path__) if m.name[0] != "_"}
    assert importlib.import_module("beholder.eval._lpips")
    assert {one.name for one in NETWORKS} == found - {"custom"} | {"lpips"}
