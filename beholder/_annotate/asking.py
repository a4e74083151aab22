"""Asking people: `beholder annotate up | down | push | pull | next`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from beholder import _terminal as terminal
from beholder._annotate import summaries
from beholder._annotate.options import Json, app
from beholder.errors import ConfigError

if TYPE_CHECKING:
    from beholder.annotation.project import Project
    from beholder.annotation.server.connection import Connection
    from beholder.annotation.server.push import Pushed
    from beholder.inputs import Inputs

Folder = Annotated[Path, typer.Argument(help="The project's folder.")]
Server = Annotated[
    Path, typer.Option(help="Folder of the server that `beholder annotate up` started.")
]
Url = Annotated[str | None, typer.Option(help="Another Label Studio, such as https://host.")]
TokenEnv = Annotated[
    str, typer.Option(metavar="NAME", help="The environment variable with the API token for --url.")
]
_SERVER = Path("label-studio")
_TITLES = {"pairwise": "Which picture is better?", "richhf": "What is wrong with the picture?"}
_TOKEN = "LABEL_STUDIO_API_KEY"


@app.command()
def up(
    folder: Annotated[Path, typer.Argument(help="Its own folder, made if needed.")] = _SERVER,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    executable: Annotated[
        Path | None, typer.Option(help="An installed label-studio; by default one is installed.")
    ] = None,
    local_models: Annotated[
        bool, typer.Option("--local-models", help="Let it ask `beholder serve` on this machine.")
    ] = False,
    json: Json = False,
) -> None:
    """Start a Label Studio on this machine alone, and say how annotators join.

    The first time, Label Studio is installed into a virtual environment of its own.

    Example: beholder annotate up
    """
    from beholder.annotation.server.connection import connect  # noqa: PLC0415
    from beholder.annotation.server.local import up as start  # noqa: PLC0415

    server = start(
        folder, port=port, executable=executable, local_models=local_models, say=terminal.note
    )
    with connect(server.url, server.token) as connection:
        link = connection.invite()
    if json:
        terminal.emit({"url": server.url, "pid": server.pid, "invite": link})
    else:
        terminal.say(summaries.server_text(server, link))


@app.command()
def down(
    folder: Annotated[Path, typer.Argument(help="The folder given to `up`.")] = _SERVER,
) -> None:
    """Stop a server that `up` started; everything in its folder is kept.

    Example: beholder annotate down
    """
    from beholder.annotation.server.local import down as stop  # noqa: PLC0415

    was_up = stop(folder)
    terminal.say(f"{folder}: stopped" if was_up else f"{folder}: no server is up")


Pictures = Annotated[
    list[str],
    typer.Argument(
        help="Folders, globs, manifests or data sets; several, or NAME=..., are checkpoints."
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="The project's folder.")]
Prompts = Annotated[Path | None, typer.Option(help="A .txt with one prompt a line, or a manifest.")]
By = Annotated[str | None, typer.Option(help="Column that names each picture's checkpoint.")]
Form = Annotated[
    Literal["pairwise", "richhf"] | None,
    typer.Option(
        help="Pairs in four aspects (default), or points, words and ratings of one picture."
    ),
]
Title = Annotated[str | None, typer.Option(help="What annotators read above the tasks.")]
Count = Annotated[int | None, typer.Option(min=1, help="Most questions in all, balanced.")]
People = Annotated[
    int | None, typer.Option(min=1, help="People who answer each shared task; default 3.")
]
Overlap = Annotated[
    int | None,
    typer.Option(min=0, max=100, help="Share of the tasks that is shared; default 100."),
]
Repeats = Annotated[
    float, typer.Option(min=0, max=50, help="Share asked again, a pair with sides exchanged.")
]
Gold = Annotated[Path | None, typer.Option(help="Manifest of tasks with known answers.")]
PicturesAt = Annotated[
    str | None,
    typer.Option(help="upload, shared:FOLDER of the server, or where the media are served."),
]
Seed = Annotated[int | None, typer.Option(help="Of sides, order and choice; default 0.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Plan and check everything, send nothing.")]


@app.command()
def push(
    pictures: Pictures,
    out: Out,
    prompts: Prompts = None,
    by: By = None,
    template: Form = None,
    title: Title = None,
    count: Count = None,
    annotators: People = None,
    overlap_percent: Overlap = None,
    repeat_percent: Repeats = 0,
    gold: Gold = None,
    seed: Seed = None,
    server: Server = _SERVER,
    url: Url = None,
    token_env: TokenEnv = _TOKEN,
    pictures_at: PicturesAt = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Ask people about pictures: blind, balanced tasks, each sent exactly once.

    The same command again sends what is missing; a project keeps its settings. Exit code 3 says
    that some pictures cannot be asked about.

    Example: beholder annotate push out/early out/late --prompts prompts.txt -o judging/
    """
    from beholder.annotation.asking.plan import AskConfig, plan  # noqa: PLC0415

    config = AskConfig(by=by, count=count, repeat_percent=repeat_percent, gold=gold)
    settings = {"title": title, "annotators": annotators, "overlap_percent": overlap_percent}
    sources = _sources(pictures, prompts)
    project = _project(out, template, {**settings, "seed": seed})
    with terminal.progress(sum(map(len, sources.values())), "pictures") as advance:
        planned = plan(project, sources, config, progress=advance)
    pushed = None if dry_run else _push(project, server, url, token_env, pictures_at)
    if json:
        terminal.emit({"planned": asdict(planned), "pushed": pushed and asdict(pushed)})
    else:
        terminal.say(summaries.push_text(planned, pushed, out))
    if planned.refused:
        raise typer.Exit(terminal.SOME_ROWS_FAILED)


@app.command()
def pull(
    folder: Folder,
    everything: Annotated[
        bool, typer.Option("--everything", help="Ask for all tasks, also to find deleted ones.")
    ] = False,
    watch: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Pull again and again.")
    ] = None,
    server: Server = _SERVER,
    url: Url = None,
    token_env: TokenEnv = _TOKEN,
    json: Json = False,
) -> None:
    """Fetch what people answered since the last time, check it, and write it as a data set.

    Example: beholder annotate pull judging/ --watch 60
    """
    from beholder.annotation.project import Project  # noqa: PLC0415
    from beholder.annotation.server.pull import pull as fetch  # noqa: PLC0415

    def once() -> None:
        with _connected(server, url, token_env) as connection:
            pulled = fetch(Project.load(folder), connection, everything=everything)
        if json:
            terminal.emit(pulled.as_json())
        else:
            terminal.say(summaries.pull_text(pulled, folder))

    if watch is None:
        once()
    else:
        _again_and_again(once, watch)


@app.command("next")
def ask_next(
    folder: Folder,
    scores: Annotated[Path, typer.Option(help="A folder that `beholder score` wrote.")],
    reward: Annotated[
        list[str], typer.Option("--reward", "-r", help="A reward of it; several are an ensemble.")
    ] = [],  # noqa: B006  (typer reads it once)
    strategy: Annotated[
        Literal["uncertainty", "disagreement", "ranking", "random"],
        typer.Option(help="What makes a pair worth asking."),
    ] = "uncertainty",
    count: Annotated[int, typer.Option(min=1, help="Pairs to add.")] = 100,
    random_share: Annotated[
        float, typer.Option(min=0, max=1, help="Drawn from all pairs alike, for evaluation.")
    ] = 0.2,
    aspect: Annotated[str | None, typer.Option(help="Such as overall; default the total.")] = None,
    by: By = None,
    server: Server = _SERVER,
    url: Url = None,
    token_env: TokenEnv = _TOKEN,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Add the pairs that a reward would learn most from, the most informative first.

    Annotators do not see what the reward thinks; the mapping says which pairs were drawn at random.

    Example: beholder annotate next judging/ --scores scores/ --reward mine --by model --count 200
    """
    from beholder.annotation.asking.next_batch import add_next_batch  # noqa: PLC0415
    from beholder.annotation.asking.selection import SelectionConfig  # noqa: PLC0415
    from beholder.annotation.project import Project  # noqa: PLC0415
    from beholder.tables import ScoreTable  # noqa: PLC0415

    config = SelectionConfig(strategy=strategy, count=count, random_share=random_share)
    project = Project.load(folder)
    table = ScoreTable(scores)
    batch = add_next_batch(project, table, reward, config, aspect=aspect, by=by)
    pushed = None if dry_run else _push(project, server, url, token_env, None)
    if json:
        terminal.emit({**asdict(batch), "pushed": pushed and asdict(pushed)})
    else:
        terminal.say(summaries.next_text(batch, pushed, folder))


def _sources(pictures: list[str], prompts: Path | None) -> dict[str, Inputs]:
    """What is asked about, by checkpoint: NAME=..., or the last part of the path if several."""
    from beholder.inputs import read_inputs  # noqa: PLC0415

    named = [terminal.split_spec(spec) for spec in pictures]
    if len(named) == 1 and named[0][1] == pictures[0]:  # no NAME=
        return {"": read_inputs(pictures[0], prompts)}
    names = [name for name, _ in named]
    if len(set(names)) < len(names):
        raise ConfigError(f"two checkpoints share a name among {', '.join(names)}; give NAME=PATH")
    return {name: read_inputs(place, prompts) for name, place in named}


def _project(folder: Path, template: str | None, settings: Mapping[str, object]) -> Project:
    """The project in a folder, or a new one, with those settings that were given."""
    from beholder.annotation.project import Project  # noqa: PLC0415

    given: dict[str, Any] = {name: v for name, v in settings.items() if v is not None}
    if not Project.is_in(folder):
        form = template or "pairwise"
        return Project(folder=folder, template=form, **{"title": _TITLES[form], **given})  # type: ignore[arg-type]
    known = Project.load(folder)
    if template not in {None, known.template}:
        raise ConfigError(
            f"{folder} asks with the template {known.template}; choose another folder"
        )
    return replace(known, **given)


@contextmanager
def _connected(server: Path, url: str | None, token_env: str) -> Iterator[Connection]:
    """The server at `url`, or the one that runs from a folder."""
    from beholder.annotation.server.connection import connect, token_from_env  # noqa: PLC0415
    from beholder.annotation.server.local import LocalServer  # noqa: PLC0415

    if url is not None:
        with connect(url, token_from_env(token_env)) as connection:
            yield connection
    else:
        local = LocalServer.read(server)
        with connect(local.url, local.token) as connection:
            yield connection


def _push(
    project: Project,
    server: Path,
    url: str | None,
    token_env: str,
    pictures_at: str | None,
) -> Pushed:
    """Send what is missing; pictures are reached as before unless it is said otherwise."""
    from beholder.annotation.server.local import LocalServer  # noqa: PLC0415
    from beholder.annotation.server.push import push as send  # noqa: PLC0415

    place = pictures_at or project.pictures_at
    if not place:
        place = f"shared:{LocalServer.read(server).files}" if url is None else "upload"
    with (
        _connected(server, url, token_env) as connection,
        terminal.progress(None, "pictures and tasks") as advance,
    ):
        return send(project, connection, place, progress=advance)[1]


def _again_and_again(once: Callable[[], None], seconds: float) -> None:
    """Call forever; a failure that may pass is told and waited for."""
    from beholder.annotation.server.faults import UnavailableError  # noqa: PLC0415

    while True:
        try:
            once()
        except UnavailableError as error:
            terminal.note(f"error: {terminal.one_line(str(error))}; trying again")
        time.sleep(seconds)
