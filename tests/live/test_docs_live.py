"""The annotation tutorial on a real Label Studio, word for word, answered by three people."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from beholder.annotation.project import Project
from beholder.annotation.records.dataset import read_preferences
from beholder.annotation.server.connection import connect
from beholder.annotation.server.local import LocalServer, down
from tests.docs.blocks import Block, blocks, read
from tests.docs.running import opened
from tests.docs.worlds import Place, quickstart
from tests.live.answers import answer, choices
from tests.live.server import NAMES, free_port, sign_up

pytestmark = [pytest.mark.label_studio, pytest.mark.timeout(1200)]

PAGE = "docs/tutorials/annotate-to-reward.md"
CONTROLS = ("aesthetics", "detail_quality", "semantic_alignment", "overall")


def asking_blocks() -> list[Block]:
    """The page up to the block that stops the server; the server takes a free port."""
    found = blocks(PAGE, read(PAGE))
    end = next(n for n, block in enumerate(found) if "\nbeholder annotate down" in block.text)
    port = f"beholder annotate up --port {free_port()}"
    return [
        replace(block, text=block.text.replace("beholder annotate up", port))
        for block in found[: end + 1]
    ]


def everybody_answers(folder: Path) -> int:
    """Three people sign up and prefer the left picture of every task; how many answers."""
    server, project = LocalServer.read(folder / "label-studio"), Project.load(folder / "judging")
    with connect(server.url, server.token) as owner:
        tasks = [copies[0] for copies in owner.known_keys(project.number or 0).values()]
    for name in NAMES:
        _, token = sign_up(server, f"{name}@example.com")
        with connect(server.url, token) as person:
            for task in tasks:
                answer(person, task, choices(dict.fromkeys(CONTROLS, "left")))
    return len(NAMES) * len(tasks)


@pytest.fixture
def place(
    tmp_path: Path, prepared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """A quickstart, and a server's folder whose database is prepared; the server ends."""
    found = Place(tmp_path / "page", tmp_path / "kept", monkeypatch)
    for folder in (found.folder, found.kept):
        folder.mkdir()
    quickstart(found)
    shutil.copytree(prepared_folder, found.folder / "label-studio")
    yield found
    down(found.folder / "label-studio")


def test_the_tutorial_goes_from_pictures_through_people_to_judgements(place: Place) -> None:
    answers = 0
    with opened(place) as page:
        for block in asking_blocks():
            if "beholder annotate pull" in block.text:
                answers = everybody_answers(place.folder)
            page.run(block)
    joined = read_preferences(place.folder / "own-judgements" / "preferences")
    asked = len(Project.load(place.folder / "judging").tasks())
    assert answers == 3 * asked > 3 * len(joined) > 0  # repeats are asked, and not joined
    assert {p for row in joined for p in row.p_first.values()} == {0.0, 1.0}
