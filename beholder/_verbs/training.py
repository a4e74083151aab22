"""The verbs that make a reward and give it away: train, distill, push."""

from __future__ import annotations

import json as json_text
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from beholder import _terminal as terminal
from beholder._verbs import training_text as texts
from beholder.errors import ConfigError, DataError

if TYPE_CHECKING:
    from beholder.calibration import Curve
    from beholder.rewards import Reward
    from beholder.tables import ScoreTable
    from beholder.training.distill import Distilled, Fidelity
    from beholder.training.reward import RewardTraining

Changes = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Over the file: run=..., fit.steps=..."),
]
Fractions = Annotated[
    str,
    typer.Option(metavar="0.1,0.3,1", help="Train on parts of the prompts: a learning curve."),
]
Repeats = Annotated[int, typer.Option(min=1, help="Runs of each fraction, differently drawn.")]
Judges = Annotated[
    list[str], typer.Option("--judge", help="A reward of the table; several are averaged.")
]
Aspects = Annotated[
    list[str],
    typer.Option(
        "--aspect", metavar="COLUMN=ASPECT", help="What a column judges; by its name if none."
    ),
]
Calibrations = Annotated[
    list[str],
    typer.Option(
        "--calibration", metavar="JUDGE=FILE", help="How sure a judge is; the table's own if none."
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        min=0, help="p = sigmoid(margin / T) in place of calibrations; 0 is the margins' spread."
    ),
]
TieThreshold = Annotated[
    float, typer.Option(min=0, max=0.999, help="A tie is where |2p - 1| is not above it.")
]
Least = Annotated[
    float, typer.Option(min=0.5, max=0.999, help="Probability that the winner must have.")
]
Disagreement = Annotated[
    Literal["unsure", "drop"],
    typer.Option(help="What judges that point opposite ways make of an answer."),
]
PairsPerPrompt = Annotated[
    int, typer.Option(min=0, help="The most telling ones of each prompt; all if 0.")
]
HeldOut = Annotated[
    float, typer.Option(min=0, max=0.999, help="Share of the prompts kept for --student.")
]
Student = Annotated[
    str, typer.Option(help="What learned the pairs: how well does it imitate its judge?")
]
People = Annotated[
    Path | None, typer.Option(help="With --student: people's pairs, to compare both with.")
]
Agreement = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="How far annotators agree; kept as agreement.json."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]


def register(app: typer.Typer) -> None:
    """Put the verbs into the command line."""
    app.command()(train)
    app.command()(distill)
    app.command()(push)


def train(
    config: Annotated[str, typer.Argument(help="A YAML file, or a preset such as tiny_cpu.")],
    changes: Changes = None,
    fractions: Fractions = "",
    repeats: Repeats = 1,
) -> None:
    """Train a reward on judgements into a run folder; the same command goes on after a stop.

    With the key "preferences" it learns pairs, with "ratings" numbers; with "feedback" RichHF
    learns scores, maps, words. On several GPUs: accelerate launch -m beholder train CONFIG ...

    With --fractions it trains on nested parts of the prompts, judges all by the same held-out ones,
    and says what twice the data would give: curve.html in the run folder.

    Example: beholder train tiny_cpu preferences=judgements/ run=runs/my-reward

    Example: beholder train tiny_cpu preferences=judgements/ --fractions 0.1,0.3,1 --repeats 3
    """
    from beholder.configs._load import load_config, read_config  # noqa: PLC0415
    from beholder.training.reward import RewardTraining, train_reward  # noqa: PLC0415
    from beholder.training.richhf import RichHFTraining, train_richhf  # noqa: PLC0415

    terminal.show_log()
    given = changes or []
    shares = _numbers(fractions)
    is_feedback = "feedback" in read_config(config, given)
    if is_feedback and shares:
        raise ConfigError("--fractions is of pairs and ratings; RichHF's feedback has no curve")
    if repeats > 1 and not shares:
        raise ConfigError("--repeats is of --fractions; give fractions, such as 0.1,0.3,1")
    if is_feedback:
        folders = [train_richhf(load_config(config, given, RichHFTraining))]
    elif shares:
        folders = _curve(load_config(config, given, RewardTraining), shares, repeats)
    else:
        folders = [train_reward(load_config(config, given, RewardTraining))]
    if os.environ.get("RANK", "0") != "0":
        return  # of several processes the first one talks
    if not shares:
        terminal.note(texts.trained_text(_summary(folders[-1])))
    for folder in folders:
        _warn(folder)
    terminal.say(str(folders[-1]))


def distill(
    scores: Annotated[Path, typer.Argument(help="A folder that `beholder score` wrote.")],
    judge: Judges,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the pairs.")],
    aspect: Aspects = [],  # noqa: B006  (typer reads it once)
    calibration: Calibrations = [],  # noqa: B006
    temperature: Temperature = None,
    tie_threshold: TieThreshold = 0.0,
    least: Least = 0.5,
    disagreement: Disagreement = "unsure",
    pairs_per_prompt: PairsPerPrompt = 0,
    held_out: HeldOut = 0.1,
    seed: Annotated[int, typer.Option(help="Of the prompts held out.")] = 0,
    student: Student = "",
    people: People = None,
    json: Json = False,
) -> None:
    """Let slow judges label pairs, from scores that a table holds, for a fast reward to learn.

    Then `beholder train` on the folder, and the same command with --student says how well the
    student agrees with its judges on the prompts held out; exit code 3 says that some of their
    pictures have no score.

    Example: beholder distill scores/ --judge vqascore --pairs-per-prompt 6 -o pairs/

    Example: beholder distill scores/ --judge vqascore -o pairs/ --student runs/student
    """
    from beholder.tables import ScoreTable  # noqa: PLC0415
    from beholder.training.distill import Labelling, write_distilled  # noqa: PLC0415
    from beholder.training.distill import distill as label  # noqa: PLC0415

    if people is not None and not student:
        raise ConfigError("--people is compared with --student; give one")
    table = ScoreTable(scores)
    how = Labelling(
        judges=tuple(judge),
        aspects=_pairs("--aspect", aspect),
        curves=_curves(table, judge, calibration, temperature),
        temperature=temperature or 0.0,
        tie_threshold=tie_threshold,
        least=least,
        disagreement=disagreement,
        pairs_per_prompt=pairs_per_prompt,
        held_out_share=held_out,
        seed=seed,
    )
    made = label(table, how)
    write_distilled(made, out)
    found = _fidelity(student, made, people, table) if student else None
    _tell(made.about, found, out, json)


def push(
    folder: Annotated[Path, typer.Argument(help="A reward folder, such as that of a run.")],
    repo: Annotated[str, typer.Argument(metavar="USER/REPO", help="Made if there is none.")],
    private: Annotated[bool, typer.Option("--private", help="If it is made.")] = False,
    agreement: Agreement = None,
    json: Json = False,
) -> None:
    """Upload a reward to the hub with a generated card; `beholder.load("user/repo")` reads it.

    What the folder knows of these weights goes with them: evaluation.json, calibration.json,
    summary.json and how they were trained, without the paths of this machine. How far annotators
    agree is known with --agreement FILE alone, from `beholder annotate agreement ... --json`.

    Example: beholder push runs/my-reward user/my-reward --private
    """
    from beholder.rewards import load  # noqa: PLC0415

    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder} holds no reward; give the folder of a finished run")
    if agreement is not None:
        _keep_agreement(agreement, folder)
    address = load(str(folder)).push_to_hub(repo, private=private)
    if json:
        terminal.emit({"folder": str(folder), "address": address, "private": private})
    else:
        terminal.say(address)


def _keep_agreement(file: Path, folder: Path) -> None:
    """Put the numbers beside the reward, where the card finds them; DataError if they are none."""
    from beholder.training.run_folder import write_json  # noqa: PLC0415

    try:
        told = json_text.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    aspects = told.get("aspects") if isinstance(told, dict) else None
    if not isinstance(aspects, dict):
        raise DataError(
            f"{file} tells of no agreement; expected what `beholder annotate agreement ... --json` "
            "prints"
        )
    write_json(folder / "agreement.json", {"aspects": aspects})


def _curve(config: RewardTraining, shares: Sequence[float], repeats: int) -> list[Path]:
    """Train the parts, tell the curve; the folders of the runs, then that of all."""
    from beholder.training.learning_curve import learning_curve  # noqa: PLC0415

    found = learning_curve(config, shares, repeats)
    terminal.say(texts.curve_text(found))
    run = Path(config.run)
    return [*(run / point.run for point in found.points), run]


def _tell(about: Mapping[str, object], found: Fidelity | None, out: Path, json: bool) -> None:
    if json:
        terminal.emit({**about, **({"fidelity": found.as_dict()} if found else {})})
    else:
        terminal.say(texts.distilled_text(about, out))
        if found:
            terminal.say(texts.fidelity_text(found))
    if found and not found.is_whole:
        raise typer.Exit(terminal.SOME_ROWS_FAILED)


def _curves(
    table: ScoreTable, judges: Sequence[str], calibration: Sequence[str], temperature: float | None
) -> Mapping[str, Curve]:
    """How sure each column is, by calibrations; none with a temperature."""
    from beholder.training.distill import judge_curves  # noqa: PLC0415

    files = {name: Path(file) for name, file in _pairs("--calibration", calibration).items()}
    if temperature is None:
        return judge_curves(table, judges, files)
    if files:
        raise ConfigError("give --temperature or --calibration, one of them")
    return {}


def _fidelity(student: str, made: Distilled, people: Path | None, table: ScoreTable) -> Fidelity:
    """Measure the student, and keep the numbers in its folder if it has one."""
    from beholder.annotation.records.dataset import read_preferences  # noqa: PLC0415
    from beholder.eval.table_scores import TableScores  # noqa: PLC0415
    from beholder.rewards import load  # noqa: PLC0415
    from beholder.training.distill import fidelity  # noqa: PLC0415
    from beholder.training.run_folder import write_json  # noqa: PLC0415

    reward = load(student)
    said = read_preferences(people) if people else []
    beside = (
        {name: TableScores(table.rows(), name) for name in made.about["judges"]} if said else {}
    )
    found = fidelity(reward, made.held_out, said, beside)
    if reward.folder is not None and Path(student).is_dir():
        write_json(
            reward.folder / "fidelity.json", terminal.finite(_record(found, reward, made.about))
        )
    return found


def _record(found: Fidelity, reward: Reward, about: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers with what they are of: student, judges, pairs and versions."""
    from beholder._verbs import evaluate_data as given  # noqa: PLC0415

    return {
        **found.as_dict(),
        "reward": given.described(reward.card.name, reward),
        "judges": about["judges"],
        "aspects": about["aspects"],
        "versions": given.versions(),
    }


def _warn(folder: Path) -> None:
    """What a run found wrong with itself, loud and last."""
    for one in _summary(folder).get("warnings") or []:
        terminal.note(f"WARNING ({folder.name}): {terminal.one_line(str(one))}")


def _summary(folder: Path) -> dict[str, Any]:
    """What a run says of itself; nothing where it has not ended yet."""
    path = folder / "summary.json"
    if not path.is_file():
        return {}
    told: dict[str, Any] = json_text.loads(path.read_text(encoding="utf-8"))
    return told


def _numbers(text: str) -> list[float]:
    """Numbers with commas between them."""
    try:
        return [float(part) for part in text.split(",")] if text else []
    except ValueError as error:
        raise ConfigError(
            f"--fractions takes numbers with commas, such as 0.1,0.3,1; got {text!r}"
        ) from error


def _pairs(option: str, given: Sequence[str]) -> Mapping[str, str]:
    """NAME=VALUE options as a mapping."""
    found: dict[str, str] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not (name and sign and value):
            raise ConfigError(f"{option} takes NAME=VALUE, got {one!r}")
        if name in found:
            raise ConfigError(f"{option} names {name!r} twice")
        found[name] = value
    return found
