"""A real Label Studio asks our server for predictions, and gets them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from label_studio_sdk.core.api_error import ApiError

import beholder
from beholder.annotation.asking.plan import AskConfig, plan
from beholder.annotation.forms.form import Shown, load_form
from beholder.annotation.mapping import AnyTask, TaskPicture, TaskSides
from beholder.annotation.project import Project, Template
from beholder.annotation.server.connection import Connection, connect
from beholder.annotation.server.local import LocalServer
from beholder.annotation.server.push import push
from beholder.inputs import read_inputs
from beholder.rewards import Reward
from beholder.types import MAPS, RATED
from tests.annotation.pictures import save_checkpoints
from tests.live.server import Start
from tests.serving.running import Running, running

pytestmark = [pytest.mark.label_studio, pytest.mark.timeout(600)]

SECRET = "the-token-of-the-reward-server"
EVERYTHING: Mapping[str, Any] = {"all": True, "excluded": []}


@pytest.fixture(scope="module")
def label_studio(start_server: Start) -> LocalServer:
    """One that may ask a reward server on its own machine, which it may not by default."""
    return start_server(local_models=True)


@pytest.fixture
def owner(label_studio: LocalServer) -> Iterator[Connection]:
    with connect(label_studio.url, label_studio.token) as connection:
        yield connection


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of random weights."""
    folder = tmp_path_factory.mktemp("rich")
    beholder.load("richhf", size="tiny").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def server(label_studio: LocalServer, rich: Path) -> Iterator[Running]:
    env = {"BEHOLDER_TOKEN": SECRET, "LABEL_STUDIO_API_KEY": label_studio.token}
    given = ("-r", "tiny", "-r", f"rich={rich}", "--label-studio", label_studio.url)
    with running(*given, env=env) as found:
        yield found


def pushed(folder: Path, template: Template, owner: Connection, pictures_at: str) -> Project:
    """A project on Label Studio whose pictures only its members can see."""
    project = Project(folder=folder / "judging", template=template, title="Served")
    sources = save_checkpoints(folder / "out", 3, ("early", "late"))
    inputs = {name: read_inputs(path) for name, path in sources.items()}
    plan(project, inputs, AskConfig())
    return push(project, owner, pictures_at)[0]


def connected(owner: Connection, project: Project, url: str, password: str = SECRET) -> Any:
    return owner.client.ml.create(
        project=project.number,
        url=url,
        title="beholder",
        auth_method="BASIC_AUTH",
        basic_auth_user="beholder",
        basic_auth_pass=password,
        is_interactive=False,
        request_options={"max_retries": 0},
    )


def predicted(owner: Connection, project: Project) -> dict[str, Any]:
    """The prediction of each task by its key; it is asked for once more, which changes nothing."""
    assert project.number is not None
    keys = {ids[0]: key for key, ids in owner.known_keys(project.number).items()}
    actions, counts = owner.client.actions, []
    for _ in range(2):
        actions.create(
            id="retrieve_tasks_predictions", project=project.number, selected_items=EVERYTHING
        )
        found = list(owner.client.predictions.list(project=project.number))
        counts.append(len(found))
    assert counts == [len(keys)] * 2
    return {keys[one.task]: one for one in found}


def read(project: Project, task: AnyTask, result: object) -> Any:
    """A prediction as if a person had answered so, the side swap undone."""
    names = ("l.png", "r.png") if isinstance(task, TaskSides) else ("k.png",)
    shown = Shown(task.task_key, task.extra["prompt"], names, task)
    record, items = load_form(project.template).read(shown, result)
    assert not (items.faults or items.others)
    return record


def test_pairs_get_what_the_reward_thinks_of_them(
    tmp_path: Path, label_studio: LocalServer, owner: Connection, server: Running
) -> None:
    project = pushed(tmp_path, "pairwise", owner, f"shared:{label_studio.files}")
    backend = connected(owner, project, server.address)
    found, tasks = predicted(owner, project), project.tasks()
    assert found.keys() == tasks.keys()
    here = beholder.load("tiny")
    for key, task in tasks.items():
        assert isinstance(task, TaskSides)
        scores = here.score([task.image_a, task.image_b], task.extra["prompt"]).aspects
        better = {n: (1, 2) if one[0] > one[1] else (2, 1) for n, one in scores.items()}
        assert read(project, task, found[key].result).ranks == better
    (version,) = {one.model_version for one in found.values()}
    assert version == owner.client.ml.get(backend.id).model_version
    assert version.startswith("tiny-")


def test_pictures_get_points_words_and_stars(
    tmp_path: Path, owner: Connection, server: Running, rich: Path
) -> None:
    project = pushed(tmp_path, "richhf", owner, "upload")
    connected(owner, project, f"{server.address}/rich")
    found = predicted(owner, project)
    here = beholder.load(str(rich))
    for key, task in project.tasks().items():
        assert isinstance(task, TaskPicture)
        check_rating(read(project, task, found[key].result), task, here)
        sizes = {
            (i["original_width"], i["original_height"])
            for i in found[key].result
            if "points" in i["from_name"]
        }
        assert sizes <= {(16, 12)}


def check_rating(rating: Any, task: TaskPicture, here: Reward) -> None:
    scores = here.score(task.image, task.extra["prompt"])
    for aspect in RATED:
        assert rating.values[aspect] == pytest.approx(scores.aspects[aspect].item(), abs=0.1251)
    marked = {kind for kind in MAPS if scores.maps[kind].max() >= 0.5001}
    assert marked <= rating.points.keys()
    words = [(w.start, w.end) for w in scores.words[0] if w.p_misaligned > 0.5]
    assert list(rating.misaligned) == words


def test_a_wrong_password_connects_nothing(
    tmp_path: Path, label_studio: LocalServer, owner: Connection, server: Running
) -> None:
    project = pushed(tmp_path, "pairwise", owner, f"shared:{label_studio.files}")
    with pytest.raises(ApiError) as caught:
        connected(owner, project, server.address, "another-token-of-nobody")
    assert caught.value.status_code == 400


def test_a_form_that_is_not_ours_is_not_connected(owner: Connection, server: Running) -> None:
    config = (
        '<View><Text name="t" value="$t"/><Choices name="mood" toName="t"><Choice value="good"/>'
        '<Choice value="bad"/></Choices></View>'
    )
    made = owner.client.projects.create(title="Moods", label_config=config)
    project = replace(Project(folder=Path(), template="pairwise", title="Moods"), number=made.id)
    with pytest.raises(ApiError) as caught:
        connected(owner, project, server.address)
    assert caught.value.status_code == 400


def test_no_secret_stands_in_the_log(server: Running, label_studio: LocalServer) -> None:
    said = "".join(server.said)
    assert "/predict" in said
    for secret in (SECRET, label_studio.token):
        assert secret not in said
