"""From the first task to clean rows, on a real server that is killed on the way."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from beholder.annotation.asking.plan import AskConfig, plan
from beholder.annotation.judgements import aggregate_folder
from beholder.annotation.mapping import TaskSides
from beholder.annotation.project import Project, Template
from beholder.annotation.records.dataset import read_comparisons, read_preferences, read_ratings
from beholder.annotation.server import push as pushing
from beholder.annotation.server.connection import Connection, connect
from beholder.annotation.server.local import LocalServer, up
from beholder.annotation.server.pull import pull
from beholder.annotation.server.push import push
from beholder.errors import AnnotationError
from beholder.inputs import read_inputs
from beholder.types import RATED, Point
from tests.annotation.pictures import save_checkpoints
from tests.live.answers import answer, choices, point, ratings, span
from tests.live.server import sign_up
from tests.shell import Shell

pytestmark = [pytest.mark.label_studio, pytest.mark.timeout(600)]

CONTROLS = ("aesthetics", "detail_quality", "semantic_alignment", "overall")
THREE = ("early", "late", "middle")


def asked(
    folder: Path, template: Template, prompts: int, config: AskConfig | None = None
) -> Project:
    """A planned project: `prompts` pictures of each of three checkpoints."""
    project = Project(folder=folder / "judging", template=template, title="Live", annotators=3)
    sources = save_checkpoints(folder / "out", prompts, THREE)
    plan(
        project, {name: read_inputs(path) for name, path in sources.items()}, config or AskConfig()
    )
    return project


@pytest.fixture
def owner(live_server: LocalServer) -> Iterator[Connection]:
    with connect(live_server.url, live_server.token) as connection:
        yield connection


@pytest.fixture
def annotators(
    live_server: LocalServer, people: list[tuple[int, str]]
) -> Iterator[list[Connection]]:
    with ExitStack() as stack:
        yield [stack.enter_context(connect(live_server.url, token)) for _, token in people]


def kill(server: LocalServer) -> None:
    os.kill(server.pid, signal.SIGKILL)


def kill_under_way(server: LocalServer) -> threading.Timer:
    """Kill it in a second, and let it do nothing until then: the next request is lost."""
    os.kill(server.pid, signal.SIGSTOP)
    timer = threading.Timer(1.0, kill, [server])
    timer.start()
    return timer


def revive(server: LocalServer) -> LocalServer:
    deadline = time.monotonic() + 60
    while True:
        try:
            return up(server.folder, port=server.port)
        except AnnotationError:  # the port is free once the killed process is gone
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def test_three_people_answer_pairs_and_every_number_comes_back(
    tmp_path: Path, live_server: LocalServer, owner: Connection, annotators: list[Connection]
) -> None:
    project = asked(tmp_path, "pairwise", 4, AskConfig(repeat_percent=25))
    project, report = push(project, owner, f"shared:{live_server.files}")
    assert (report.sent, report.before) == (15, 0)
    assert push(project, owner, f"shared:{live_server.files}")[1].sent == 0

    tasks, ids = project.tasks(), owner.known_keys(report.number)
    assert list(ids) == list(tasks)
    for number, person in enumerate(annotators):
        for key, task in tasks.items():
            assert isinstance(task, TaskSides)
            better = "left" if task.left_is == "a" else "right"  # always says that a is better
            label = better if number < 2 else "left"  # the third one always says left
            result = choices(dict.fromkeys(CONTROLS, label))
            answer(person, ids[key][0], result, lead_time=10.0 * (number + 1))

    pulled = pull(project, owner)
    assert pulled.tasks == {3: 15}
    assert (pulled.report.comparisons, pulled.report.clean) == (45, 36)
    assert pulled.report.flags == {"repeat": 9}
    rows = read_comparisons(project.folder)
    by_person = Counter((r.annotator, r.ranks["overall"]) for r in rows)
    lefts = Counter(isinstance(t, TaskSides) and t.left_is == "a" for t in tasks.values())
    assert sorted(by_person.values()) == sorted([15, 15, lefts[True], lefts[False]])
    assert Counter(r.seconds for r in rows) == {10.0: 15, 20.0: 15, 30.0: 15}
    assert not any("@" in path.read_text() for path in project.raw.iterdir())


def test_only_what_changed_is_pulled_again(
    tmp_path: Path, live_server: LocalServer, owner: Connection, annotators: list[Connection]
) -> None:
    project = asked(tmp_path, "pairwise", 2)
    project, report = push(project, owner, f"shared:{live_server.files}")
    first, second, *_ = (ids[0] for ids in owner.known_keys(report.number).values())
    full = choices(dict.fromkeys(CONTROLS, "tie"))
    answer(annotators[0], first, full)
    assert pull(project, owner).added.new == 6

    answer(annotators[1], second, full)
    (mine,) = owner.client.annotations.list(first)
    annotators[2].client.annotations.update(mine.id, result=choices({"overall": "left"}))
    pulled = pull(project, owner)
    assert pulled.added.changed == 2
    assert pulled.report.flags == {"edited_by_other": 1, "partial": 1}

    owner.client.annotations.delete(mine.id)
    pulled = pull(project, owner, everything=True)
    assert pulled.report.flags["deleted"] == 1
    assert pulled.report.clean == 1
    owner.client.tasks.delete(str(second))
    assert pull(project, owner, everything=True).added.gone == 1


def test_a_killed_server_costs_no_task_and_no_row(
    tmp_path: Path,
    start_server: Callable[[], LocalServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = start_server()
    project = asked(tmp_path, "pairwise", 40)
    monkeypatch.setattr(pushing, "_TASKS_IN_REQUEST", 30)
    place = f"shared:{server.files}"
    done: list[int] = []
    dying: list[threading.Timer] = []

    def kill_midway(count: int) -> None:
        done.append(count)
        if sum(done) > 120 + 50 and not dying:  # all pictures and some of the 120 tasks
            dying.append(kill_under_way(server))

    with connect(server.url, server.token) as owner, pytest.raises(AnnotationError) as failure:
        push(project, owner, place, progress=kill_midway)
    dying[0].join()
    assert "\n" not in str(failure.value)
    assert server.token not in str(failure.value)

    server = revive(server)
    project = Project.load(project.folder)
    with connect(server.url, server.token) as owner:
        project, report = push(project, owner, place)
        ids = owner.known_keys(report.number)
        assert 0 < report.before < 120
        assert report.before + report.sent == 120
        assert sorted(ids) == sorted(project.tasks())
        assert all(len(copies) == 1 for copies in ids.values())
        for copies in list(ids.values())[:20]:
            answer(owner, copies[0], choices(dict.fromkeys(CONTROLS, "left")))

        timer = kill_under_way(server)
        with pytest.raises(AnnotationError) as failure:
            pull(project, owner)
        timer.join()
    assert "\n" not in str(failure.value)
    assert not list(project.raw.glob("*.jsonl"))

    server = revive(server)
    with connect(server.url, server.token) as owner:
        pulled = pull(project, owner)
    assert (pulled.report.clean, pulled.tasks) == (20, {0: 100, 1: 20})
    assert len(read_comparisons(project.folder)) == 20


def test_rich_feedback_comes_back_with_points_words_and_ratings(
    tmp_path: Path, live_server: LocalServer, owner: Connection, annotators: list[Connection]
) -> None:
    project = asked(tmp_path, "richhf", 1)
    project, report = push(project, owner, "upload")
    ids = owner.known_keys(report.number)
    (key, copies), *_ = ids.items()
    stars = {"plausibility": 1, "alignment": 3, "aesthetics": 4, "overall": 5}
    marks = [point("implausible", 25.0, 50.0), span("prompt 0", "prompt")]
    for person in annotators:
        answer(person, copies[0], [*ratings(stars), *marks])
    pulled = pull(project, owner)
    assert (pulled.report.clean, pulled.tasks) == (3, {0: 2, 3: 1})
    for row in read_ratings(project.folder):
        assert row.key == key
        assert row.values == {
            "plausibility": 0.0,
            "alignment": 0.5,
            "aesthetics": 0.75,
            "overall": 1.0,
        }
        assert row.points == {"implausibility": (Point(0.25, 0.5),)}
        assert row.misaligned == ((0, 6),)


def test_pairs_answered_as_no_form_does_are_told_and_kept_out(
    tmp_path: Path, live_server: LocalServer, owner: Connection, annotators: list[Connection]
) -> None:
    project = asked(tmp_path, "pairwise", 2)
    project, report = push(project, owner, f"shared:{live_server.files}")
    ids = iter(copies[0] for copies in owner.known_keys(report.number).values())
    good = choices(dict.fromkeys(CONTROLS, "left"))
    unknown = [*good[:3], *choices({"overall": "both"})]
    twice = [*good, *choices({"overall": "right"})]
    two = [*good[:3], {**good[3], "value": {"choices": ["left", "right"]}}]
    for result in (good, unknown, twice, two, []):
        answer(annotators[0], next(ids), result)
    broken = [{k: v for k, v in good[0].items() if k != "value"}]
    with pytest.raises(AnnotationError, match="500"):
        answer(annotators[0], next(ids), broken)
    pulled = pull(project, owner)
    assert pulled.report.clean == 1
    assert pulled.report.flags["invalid"] == 4
    assert pulled.report.flags["empty"] == 1
    reasons = " ".join(problem.reason for problem in pulled.report.problems)
    for part in ("'both'", "answered 2 times", "['left', 'right']", "has no value"):
        assert part in reasons
    assert aggregate_folder(project.folder, tmp_path / "data").rows == 1


def test_pictures_answered_as_no_form_does_are_told_and_kept_out(
    tmp_path: Path, live_server: LocalServer, owner: Connection, annotators: list[Connection]
) -> None:
    project = asked(tmp_path, "richhf", 2)
    project, report = push(project, owner, f"shared:{live_server.files}")
    ids = iter(copies[0] for copies in owner.known_keys(report.number).values())
    full = ratings(dict.fromkeys(RATED, 3))
    word = span("prompt 0", "prompt")
    turned = {**word, "value": {**word["value"], "start": 6, "end": 0}}
    another = {**word, "value": {**word["value"], "text": "newspaper"}}
    zero = [*full[:3], *ratings({"overall": 0})]
    outside = point("implausible", 120.0, 50.0)
    for result in (full, zero, [*full, turned], [*full, another], [*full, outside]):
        answer(annotators[0], next(ids), result)
    pulled = pull(project, owner)
    assert (pulled.report.clean, pulled.report.flags["invalid"]) == (1, 4)
    problems = {problem.task_key for problem in pulled.report.problems}
    assert len(problems) == 4
    assert aggregate_folder(project.folder, tmp_path / "data").rows == 1


def test_a_user_who_was_deleted_counts_only_if_a_pull_saw_them(
    tmp_path: Path, live_server: LocalServer, owner: Connection
) -> None:
    project = asked(tmp_path, "pairwise", 1)
    project, report = push(project, owner, f"shared:{live_server.files}")
    first, second, _ = (copies[0] for copies in owner.known_keys(report.number).values())
    user, token = sign_up(live_server, "leaver@example.com")
    full = choices(dict.fromkeys(CONTROLS, "left"))
    with connect(live_server.url, token) as leaver:
        answer(leaver, first, full)
        pull(project, owner)
        answer(leaver, second, full)
    owner.client.users.delete(user)
    pulled = pull(project, owner, everything=True)
    assert pulled.report.flags == {"unknown_user": 1}
    assert pulled.report.clean == 1
    assert "deleted" in pulled.report.problems[0].reason


def test_the_verbs_go_from_pictures_to_a_data_set(
    tmp_path: Path, live_server: LocalServer, annotators: list[Connection], shell: Shell
) -> None:
    folders = save_checkpoints(tmp_path / "out", 4, THREE).values()
    place = ("--server", live_server.folder)
    words = ("annotate", "push", *folders, "-o", tmp_path / "j", "--count", "6", *place)
    said: Any = shell.json(*words)
    assert said["pushed"]["sent"] == 6
    rows = [f"out/{m}/{p:03d}.png,prompt {p},{m}" for m in THREE for p in range(4)]
    (tmp_path / "m.csv").write_text("\n".join(["image,prompt,model", *rows]) + "\n")
    assert shell("score", tmp_path / "m.csv", "-r", "tiny", "-o", tmp_path / "scores") == 0
    words = ("annotate", "next", tmp_path / "j", "--scores", tmp_path / "scores", "-r", "tiny")
    said = shell.json(*words, "--by", "model", "--count", "4", *place)
    assert (said["added"], said["pushed"]["sent"]) == (4, 4)

    chosen = [t for t in Project.load(tmp_path / "j").tasks().values() if "confidence" in t.extra]
    number = said["pushed"]["number"]
    served: list[str] = []
    for _ in chosen:  # the least sure comes first, and nobody sees what the reward thinks
        task = annotators[0]._request("GET", f"api/projects/{number}/next").json()
        assert not task["predictions"]
        served.append(task["data"]["task_key"])
        full = choices(dict.fromkeys(CONTROLS, "left"))
        answer(annotators[0], task["id"], full)
    assert served == [task.task_key for task in chosen]
    assert shell("annotate", "pull", tmp_path / "j", *place) == 0
    assert "answers: 4, 4 clean; tasks: 6 with 0, 4 with 1" in shell.out
    assert shell("annotate", "aggregate", tmp_path / "j", "-o", tmp_path / "data") == 0
    assert len(read_preferences(tmp_path / "data")) == 4


def test_a_wrong_token_and_a_silent_server_are_one_line(live_server: LocalServer) -> None:
    for url, token in ((live_server.url, "0" * 40), ("http://127.0.0.1:9", live_server.token)):
        with pytest.raises(AnnotationError) as failure:
            connect(url, token)
        text = str(failure.value)
        assert "\n" not in text
        assert token not in text
        assert "ookie" not in text
