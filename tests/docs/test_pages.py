"""Every block of every page: it runs, or what it names exists."""

from pathlib import Path

import pytest

from tests.docs.blocks import blocks, pages, read, worlds
from tests.docs.checking import block_faults
from tests.docs.running import Page, opened
from tests.docs.worlds import Place, known

PAGES = pages()
RUNNING = [page for page in PAGES if any(b.way == "run" for b in blocks(page, read(page)))]


def run_parameters() -> list[object]:
    """Pages with something to run; those that say that they take long are of the long tests."""
    return [
        pytest.param(page, marks=[pytest.mark.long] if "long" in worlds(read(page)) else [])
        for page in RUNNING
    ]


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


@pytest.mark.parametrize("page", PAGES)
def test_what_the_blocks_of_a_page_name_exists(page: str) -> None:
    found = blocks(page, read(page))
    wrong = [f"{block.place}: {fault}" for block in found for fault in block_faults(block)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", run_parameters())
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("default")
def test_a_page_runs_from_top_to_bottom(
    page: str, tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path / "page", kept, monkeypatch)
    place.folder.mkdir()
    text = read(page)
    with opened(place) as opened_page:
        build(place, text, opened_page)
        for block in blocks(page, text):
            opened_page.run(block)


def build(place: Place, text: str, page: Page) -> None:
    """Put the worlds that the page names into its folder."""
    worlds_by_name = known()
    for name in worlds(text):
        if name != "long":
            worlds_by_name[name](place)
