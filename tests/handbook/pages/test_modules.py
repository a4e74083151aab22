import importlib
from pathlib import Path

import beholder
from handbook.pages.modules import modules, pages, room_of

FOUND = {one.name: one for one in modules()}


def test_private_modules_and_modules_without_anything_public_have_no_page() -> None:
    assert not any("._" in name for name in FOUND)
    assert "beholder.eval" not in FOUND
    assert {"beholder.rewards", "beholder.eval.ranking", "beholder.types"} <= set(FOUND)


def test_the_face_of_the_package_leads_to_pages() -> None:
    made = pages()
    index = made["reference/index.md"]
    for name, home in beholder._HOME.items():
        assert f"| `beholder.{name}` | [`{home}`](modules/{home}.md) |" in index
        assert f"reference/modules/{home}.md" in made


def test_what_a_module_hands_on_from_a_private_one_is_told_on_its_page() -> None:
    page = pages()["reference/modules/beholder.rewards.md"]
    assert "::: beholder.rewards\n" in page
    assert "::: beholder.rewards._base.Reward\n" in page


def test_what_is_told_is_there() -> None:
    for name in ("beholder.rewards", "beholder.eval.frechet", "beholder.errors"):
        module = importlib.import_module(name)
        assert all(hasattr(module, member) for member in FOUND[name].members)


def test_a_summary_is_the_first_line_of_the_docstring(tmp_path: Path) -> None:
    package = tmp_path / "beholder"
    package.mkdir()
    (package / "x.py").write_text('"""What it is.\n\nMore."""\n\nY: int = 1\n_Z = 2\n')
    (package / "_hidden.py").write_text("Y = 1\n")
    (found,) = modules(package)
    assert (found.name, found.summary, found.members) == ("beholder.x", "What it is.", ("Y",))


def test_rooms_are_the_packages_below_the_first() -> None:
    assert room_of("beholder.rewards.sharded.job") == "beholder.rewards"
    assert room_of("beholder.types") == "beholder"
