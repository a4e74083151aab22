from pathlib import Path
from typing import Any

import yaml

from handbook.navigation import expanded
from handbook.pages import made

ROOT = Path(__file__).parents[2]


class Loose(yaml.SafeLoader):
    """Reads mkdocs.yml without running what it names."""


def menu() -> list[Any]:
    nav: list[Any] = yaml.load((ROOT / "mkdocs.yml").read_text(), Loose)["nav"]
    return nav


def places(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    inner = nav.values() if isinstance(nav, dict) else nav
    return [place for one in inner for place in places(one)]


def test_a_star_stands_for_the_pages_of_a_folder() -> None:
    nav = [{"Rewards": ["rewards.md", "rewards/*"]}]
    assert expanded(nav, ["rewards/mps.md", "rewards/hps.md", "other/a.md"]) == [
        {"Rewards": ["rewards.md", "rewards/hps.md", "rewards/mps.md"]}
    ]


def test_modules_are_put_together_by_room_under_short_names() -> None:
    known = [f"reference/modules/beholder.{n}.md" for n in ("eval.ranking", "types", "rewards")]
    rooms = {t: p for one in expanded(["reference/modules/*"], known) for t, p in one.items() if p}
    assert rooms == {
        "Shared words, pictures and tables": [{"types": known[1]}],
        "Rewards": [{"beholder.rewards": known[2]}],
        "Measuring, filtering, ranking": [{"ranking": known[0]}],
    }


def test_every_entry_of_the_menu_is_a_page_and_every_page_an_entry() -> None:
    generated = made()
    written = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}
    listed = places(expanded(menu(), generated))
    assert len(listed) == len(set(listed))
    assert set(listed) == written | set(generated)
