import os
from pathlib import Path

import pytest

from tests.docs.blocks import Block
from tests.docs.running import PageError, opened
from tests.docs.stand_ins import VARIABLE
from tests.docs.verbs import run_verb
from tests.docs.worlds import Place, World, known, merge, pictures, sides


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    folder = tmp_path / "page"
    folder.mkdir()
    return Place(folder, tmp_path, monkeypatch)


def block(text: str, language: str = "bash", way: str = "run", said: str = "") -> Block:
    return Block("a.md", 7, language, text, way, said)


def test_python_blocks_share_names_and_files_are_written(place: Place) -> None:
    with opened(place) as page:
        page.run(block("def double(x): return 2 * x\n", "python", "file", "twice.py"))
        page.run(block("from twice import double\na = double(21)\n", "python"))
        page.run(block("assert a == 42\n", "python"))
    assert place.names["a"] == 42


def test_a_command_that_fails_is_named_by_its_line(place: Place) -> None:
    with opened(place) as page, pytest.raises(PageError, match=r"a\.md:8: left with 2, not 0"):
        page.run(block("true\nbeholder scor x\n"))


def test_a_block_may_say_what_its_last_command_leaves_with(place: Place) -> None:
    with opened(place) as page:
        page.run(block("beholder scor x\n", said="leaves 2"))
        with pytest.raises(PageError, match="left with 0, not 2"):
            page.run(block("true\n", said="leaves 2"))


def test_where_a_page_stands_and_what_it_exports_lasts(place: Place) -> None:
    with opened(place) as page:
        page.run(block("mkdir inner\ncd inner\nexport COLOUR=red\n"))
        page.run(block("echo $COLOUR > said.txt\n"))
    assert (place.folder / "inner" / "said.txt").read_text() == "red\n"


def test_a_failure_inside_a_pipe_is_a_failure(place: Place) -> None:
    with opened(place) as page, pytest.raises(PageError, match="left with 1"):
        page.run(block("false | cat\n"))


def test_what_would_change_the_machine_is_not_run(place: Place) -> None:
    with opened(place) as page:
        page.run(block("pip install nothing-of-this-name\ngit clone nowhere\n"))


def test_the_output_of_a_verb_goes_where_the_page_sends_it(place: Place) -> None:
    with opened(place) as page:
        page.run(block("beholder rewards --json > found.json\n"))
    assert "mps" in (place.folder / "found.json").read_text()


def test_published_names_are_small_models_as_long_as_the_page_lasts(tmp_path: Path) -> None:
    import beholder

    with pytest.MonkeyPatch.context() as patch:
        known()["published"](Place(tmp_path, tmp_path, patch))
        assert sum(weight.numel() for weight in beholder.load("clipscore").parameters()) < 10**7
        assert os.environ[VARIABLE] == "published"
    assert VARIABLE not in os.environ


def test_a_name_means_one_world() -> None:
    found: dict[str, World] = {"pictures": pictures}
    merge(found, {"sides": sides})
    assert found == {"pictures": pictures, "sides": sides}
    with pytest.raises(ValueError, match="called pictures, sides; rename"):
        merge(found, {"sides": pictures, "pictures": sides})


def test_what_is_costly_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def make(there: Place) -> None:
        made.append(there.folder)
        (there.folder / "it").write_text("here")

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Place(tmp_path / name, tmp_path, monkeypatch).once("thing", make)
        assert (tmp_path / name / "it").read_text() == "here"
    assert made == [tmp_path / "thing"]


def test_a_verb_says_its_code_and_what_it_printed() -> None:
    said = run_verb(["scor"])
    assert (said.code, said.out) == (2, "")
    assert "no such command" in said.err
