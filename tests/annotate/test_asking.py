"""The verbs that ask, against a server in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beholder._annotate import asking
from beholder.annotation.project import Project
from beholder.annotation.reading.label_studio_export import export_annotation
from beholder.annotation.records.dataset import read_comparisons
from beholder.annotation.server.connection import Connection
from beholder.annotation.server.faults import UnavailableError
from beholder.types import ASPECTS
from tests.annotation.pictures import save_checkpoints
from tests.annotation.server.memory import Memory
from tests.shell import Shell

HOST = ("--url", "http://127.0.0.1:8080", "--token-env", "MY_TOKEN")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    held = Memory()

    def connect(url: str, token: str) -> Connection:
        assert (url, token) == ("http://127.0.0.1:8080", "secret")
        return held.connection()

    monkeypatch.setattr("beholder.annotation.server.connection.connect", connect)
    monkeypatch.setenv("MY_TOKEN", "secret")
    return held


@pytest.fixture
def pushed(tmp_path: Path, shell: Shell, memory: Memory) -> Path:
    """A project of six pairs, on the server."""
    folders = save_checkpoints(tmp_path / "out", 2, ("early", "late", "middle")).values()
    place = ("--pictures-at", f"shared:{tmp_path / 'files'}")
    assert shell("annotate", "push", *folders, "-o", tmp_path / "j", *place, *HOST) == 0
    assert "sent 6 tasks" in shell.out
    return tmp_path / "j"


def answer_all(memory: Memory, label: str = "left") -> None:
    for number in memory.tasks:
        answers = dict.fromkeys(ASPECTS, label)
        memory.answer(number, export_annotation(answers, annotator=7, annotation_id=number))


def test_several_folders_are_checkpoints_named_after_them(pushed: Path) -> None:
    made_by = {t.extra["checkpoint_a"] for t in Project.load(pushed).tasks().values()}
    assert made_by == {"early", "late"}  # of a pair the first by name


def test_the_same_push_sends_nothing_and_knows_where_pictures_are(
    pushed: Path, tmp_path: Path, shell: Shell
) -> None:
    folders = sorted((tmp_path / "out").iterdir())
    said: Any = shell.json("annotate", "push", *folders, "-o", pushed, *HOST)
    assert (said["pushed"]["sent"], said["planned"]["asked"]) == (0, 0)


def test_a_project_keeps_the_settings_that_are_not_given_again(
    pushed: Path, tmp_path: Path, shell: Shell
) -> None:
    words = (
        "annotate",
        "push",
        tmp_path / "out" / "early",
        tmp_path / "out" / "late",
        "-o",
        pushed,
    )
    assert shell(*words, "--annotators", "5", "--title", "Foxes", "--dry-run") == 0
    assert shell(*words, "--overlap-percent", "20", "--dry-run") == 0
    project = Project.load(pushed)
    assert (project.annotators, project.title, project.overlap_percent) == (5, "Foxes", 20)


def test_a_picture_that_cannot_be_asked_about_is_exit_code_three(
    tmp_path: Path, shell: Shell
) -> None:
    folders = save_checkpoints(tmp_path / "out", 2, ("early", "late"))
    (folders["late"] / "000.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    words = ("annotate", "push", *folders.values(), "-o", tmp_path / "j", "--dry-run")
    assert shell(*words) == 3
    assert "1 pictures cannot be asked about" in shell.out
    assert "000.png" in shell.out


def test_answers_are_pulled_and_pulled_again(pushed: Path, shell: Shell, memory: Memory) -> None:
    answer_all(memory)
    said: Any = shell.json("annotate", "pull", pushed, *HOST)
    assert said["report"]["clean"] == 6
    assert said["tasks_by_answers"] == {"1": 6}
    assert shell("annotate", "pull", pushed, *HOST) == 0
    assert "nothing new" in shell.out
    assert len(read_comparisons(pushed)) == 6


def test_watching_outlives_a_server_that_is_down_for_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Callable[[], None]] = []

    def once() -> None:
        calls.append(once)
        if len(calls) == 1:
            raise UnavailableError("pulling: no connection")
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(KeyboardInterrupt):
        asking._again_and_again(once, 5)
    assert len(calls) == 3
    assert capsys.readouterr().err == "error: pulling: no connection; trying again\n"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["push", "none/", "-o", "j"], 1, "none/ does not exist"),
        (["push", "a=x", "a=y", "-o", "j"], 2, "two checkpoints share a name"),
        (["push", ".", "-o", "j", "--template", "ranked"], 2, "ranked"),
        (["pull", "none/", "--url", "http://h", "--token-env", "NO_SUCH"], 1, "NO_SUCH is empty"),
        (["pull", "none/", "--server", "nowhere"], 1, "no Label Studio is up in"),
        (["next", "none/", "--scores", "s"], 1, "holds no annotation project"),
        (["down", "nowhere"], 0, "no server is up"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: list[str],
    code: int,
    told: str,
    shell: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shell("annotate", *words) == code
    said = shell.out + shell.err
    assert told in said
    assert "Traceback" not in said


def test_a_project_keeps_its_template(pushed: Path, tmp_path: Path, shell: Shell) -> None:
    words = ("annotate", "push", tmp_path / "out" / "early", "-o", pushed)
    assert shell(*words, "--template", "richhf", "--dry-run") == 2
    assert "asks with the template pairwise" in shell.err


def test_the_next_pairs_come_from_a_score_table(
    pushed: Path, tmp_path: Path, shell: Shell, memory: Memory
) -> None:
    save_checkpoints(tmp_path / "new", 4, ("early", "late"))  # two prompts were asked already
    rows = [f"new/{m}/{p:03d}.png,prompt {p},{m}" for m in ("early", "late") for p in range(4)]
    (tmp_path / "m.csv").write_text("\n".join(["image,prompt,model", *rows]) + "\n")
    assert shell("score", tmp_path / "m.csv", "-r", "tiny", "-o", tmp_path / "scores") == 0
    words = ("annotate", "next", pushed, "--scores", tmp_path / "scores", "-r", "tiny")
    assert shell(*words, "--by", "model", "--count", "3", *HOST) == 0
    assert "2 pairs added of 3 chosen among 4, 1 at random" in shell.out
    assert "sent 2 tasks, 6 were there before" in shell.out
    assert len(memory.predictions) == 2
