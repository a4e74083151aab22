"""The verbs that say how far to trust a reward: evaluate, and power."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from beholder import _terminal as terminal
from beholder._verbs import evaluate_text as texts
from beholder._verbs import summaries
from beholder.errors import ConfigError, DataError
from beholder.eval.protocols import ProtocolName

if TYPE_CHECKING:
    from beholder.eval.evaluation_differences import Difference
    from beholder.eval.evaluation_record import PairData, Published
    from beholder.eval.power import Certainty
    from beholder.eval.preference import Counting, Evaluation, ScoredPairs
    from beholder.rewards import Reward

    Loading = Callable[[], Mapping[str, Reward]]

DataSet = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="A folder of judgements, or NAME:PLACE[:SPLIT] of a published data set, such as "
        "hpdv2:data/HPDv2:test.",
    ),
]
Against = Annotated[
    list[str],
    typer.Option(help="Another reward on the same pairs; the difference has an interval and a p."),
]
Validation = Annotated[
    str, typer.Option(help="Pairs, as DATASET, on which the tie threshold is chosen otherwise.")
]
TieThreshold = Annotated[
    float | None, typer.Option(min=0, max=1, help="Of the pickapic protocol, on |p1 - p0|.")
]
Read = Annotated[
    list[str],
    typer.Option(metavar="OPTION=VALUE", help="An option of the published data set's reader."),
]
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="REWARD.OPTION=VALUE", help="An option of a reward."),
]
Save = Annotated[
    bool, typer.Option("--save", help="Keep the numbers in evaluation.json of the reward's folder.")
]
Draws = Annotated[int, typer.Option(min=1, help="How often prompts are redrawn.")]
Seed = Annotated[int, typer.Option(help="Of the draws.")]
Device = Annotated[str | None, typer.Option(help="Where the model runs, such as cuda or cpu.")]
Dtype = Annotated[
    str | None, typer.Option(help="fp32, bf16 or fp16; what the weights are loaded in if none.")
]
_PROTOCOL: ProtocolName = "imagereward"
_COLUMN, _WITHIN = "model", 0.02
"""What is taken where a person says nothing; other values are refused where they mean nothing."""
Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")]


def register(app: typer.Typer) -> None:
    """Put the verbs into the command line."""
    app.command()(evaluate)
    app.command()(power)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person wants to know of pairs.

    Attributes:
        protocol, tie_threshold, validation, draws, seed: as of `beholder.eval.preference.evaluate`.
        read: options of the data set's reader.
    """

    protocol: str
    tie_threshold: float | None
    validation: str
    read: Sequence[str]
    draws: int
    seed: int


def evaluate(
    reward: Annotated[str, typer.Argument(help="What `beholder.load` takes.")],
    dataset: DataSet,
    protocol: Annotated[ProtocolName, typer.Option(help="How pairs are counted.")] = _PROTOCOL,
    against: Against = [],  # noqa: B006  (typer reads it once)
    tie_threshold: TieThreshold = None,
    validation: Validation = "",
    read: Read = [],  # noqa: B006
    setting: Settings = [],  # noqa: B006
    save: Save = False,
    draws: Draws = 2000,
    seed: Seed = 0,
    device: Device = None,
    dtype: Dtype = None,
    json: Json = False,
) -> None:
    """Accuracy of a reward on people's pairs, each aspect with a 95 % interval over prompts.

    Beside it stand what is published and, with --against, paired differences. Exit code 3 says that
    some pictures have no score. On rich feedback: correlations of the scores, measures of the
    heatmaps and of misaligned words. Judge by others than those it learned from.

    Example: beholder evaluate runs/my-reward test/ --protocol imagereward

    Example: beholder evaluate hps hpdv2:data/HPDv2:test --protocol hpdv2 --against pickscore
    """
    from beholder.annotation.joining.feedback import holds_feedback  # noqa: PLC0415

    asked = Asked(
        protocol=protocol,
        tie_threshold=tie_threshold,
        validation=validation,
        read=read,
        draws=draws,
        seed=seed,
    )
    load = partial(terminal.named_rewards, [reward, *against], setting, device, dtype)
    if Path(dataset).is_dir() and holds_feedback(Path(dataset)):
        _refuse_for_feedback(dataset, asked, {"--against": bool(against), "--save": save})
        _evaluate_feedback(load, Path(dataset), asked, json)
    else:
        _evaluate_pairs(load, dataset, asked, _own_folder(reward) if save else None, json)


def power(
    source: Annotated[
        Path,
        typer.Argument(help="A folder of `beholder score`, or of a reward with evaluation.json."),
    ],
    by: Annotated[str, typer.Option(help="The column that names the checkpoint.")] = _COLUMN,
    column: Annotated[
        str, typer.Option("--score", help="What is compared; the only reward's total if none.")
    ] = "",
    alpha: Annotated[
        float, typer.Option(help="How often equal sides may be called different.")
    ] = 0.05,
    wanted: Annotated[
        float, typer.Option("--power", help="How often different sides must be told apart.")
    ] = 0.8,
    within: Annotated[
        float, typer.Option(help="Half width that an accuracy's interval should have.")
    ] = _WITHIN,
    json: Json = False,
) -> None:
    """How many prompts it takes to tell two checkpoints, or two evaluated rewards, apart.

    Of a score table every two checkpoints, by their mean score; of a reward's evaluation.json
    (`evaluate --against ... --save`) each difference, and each accuracy to within --within.

    Example: beholder power scores/ --by model --score mps.overall

    Example: beholder power runs/my-reward --within 0.01
    """
    from beholder.eval.evaluation_record import EVALUATIONS  # noqa: PLC0415
    from beholder.eval.power import Certainty  # noqa: PLC0415

    sure = Certainty(alpha=alpha, power=wanted)
    if (source / EVALUATIONS).is_file():
        if by != _COLUMN or column:
            raise ConfigError(f"--by and --score are of a score table; {source} is a reward's")
        _evaluation_power(source, within, sure, json)
    else:
        if within != _WITHIN:
            raise ConfigError(f"--within is of a reward's evaluation.json; {source} has none")
        _table_power(source, by, column, sure, json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """Rewards on the same pairs, the one that was asked for first."""

    models: Mapping[str, Reward]
    tunings: Mapping[str, ScoredPairs]
    data: PairData
    results: Mapping[str, Evaluation]
    differences: Sequence[Difference]
    published: Sequence[Published]

    @property
    def is_whole(self) -> bool:
        """Whether every picture has its score, those of the validation pairs too."""
        failed = [result.unreadable for result in self.results.values()]
        failed += [tuning.unreadable() for tuning in self.tunings.values()]
        return not any(failed)

    def records(self) -> list[dict[str, Any]]:
        """What is kept and printed of each reward; differences stand with the first."""
        from beholder._verbs import evaluate_data as given  # noqa: PLC0415
        from beholder.eval.evaluation_record import evaluation_record  # noqa: PLC0415

        first = next(iter(self.models))
        told = {name: given.described(name, model) for name, model in self.models.items()}
        return [
            evaluation_record(
                result,
                data=self.data,
                reward=told[name],
                versions=given.versions(),
                differences=self.differences if name == first else (),
                against=told,
                published=self.published,
            )
            for name, result in self.results.items()
        ]

    def text(self) -> str:
        """Everything for a person."""
        from beholder._verbs import evaluate_data as given  # noqa: PLC0415

        parts = [
            texts.evaluation_text(
                name, result, self.data, given.own_figures(self.data, self.models[name].card)
            )
            for name, result in self.results.items()
        ]
        parts += [texts.differences_text(self.differences)] if self.differences else []
        parts += [texts.published_text(self.published)] if self.published else []
        return "\n\n".join(parts)


def _evaluate_pairs(
    load: Loading, dataset: str, asked: Asked, folder: Path | None, json: bool
) -> None:
    from beholder.eval.evaluation_record import keep_evaluation  # noqa: PLC0415

    found = _measured(load, dataset, asked)
    records = found.records() if json or folder else []  # they hash the weights
    if json:
        terminal.emit({**records[0], "against": records[1:]})
    else:
        terminal.say(found.text())
    if folder is not None:
        kept = keep_evaluation(folder, cast("dict[str, Any]", terminal.finite(records[0])))
        terminal.note(f"kept in {kept}")
    if not found.is_whole:
        raise typer.Exit(terminal.SOME_ROWS_FAILED)


def _measured(load: Loading, dataset: str, asked: Asked) -> _Measured:
    """Rewards are loaded last: they may take minutes, and what is wrong shows before."""
    from beholder._verbs import evaluate_data as given  # noqa: PLC0415
    from beholder.eval.evaluation_differences import differences  # noqa: PLC0415
    from beholder.eval.preference import check_threshold, measure  # noqa: PLC0415

    check_threshold(asked.protocol, asked.tie_threshold, given=bool(asked.validation))
    data = given.read_pairs(dataset, asked.read, "test")
    tuning = _validation(dataset, asked)
    models = load()
    _warn_of_learned(models, dataset)
    scored = {name: _scored(model, data) for name, model in models.items()}
    tunings = {name: _scored(model, tuning) for name, model in models.items() if tuning}
    origin = tuning.origin if tuning else ""
    countings = {
        name: _counting(pairs, tunings.get(name), origin, asked) for name, pairs in scored.items()
    }
    return _Measured(
        models=models,
        tunings=tunings,
        data=data,
        results={name: measure(scored[name], countings[name]) for name in models},
        differences=differences(scored, countings) if len(models) > 1 else (),
        published=given.published_figures(data, [model.card for model in models.values()]),
    )


def _validation(dataset: str, asked: Asked) -> PairData | None:
    from beholder._verbs import evaluate_data as given  # noqa: PLC0415

    if not asked.validation:
        return None
    alike = given.source_name(asked.validation) == given.source_name(dataset)
    return given.read_pairs(asked.validation, asked.read if alike else (), "validation")


def _scored(model: Reward, data: PairData) -> ScoredPairs:
    from beholder.eval.preference import count_pictures, score_pairs  # noqa: PLC0415

    with terminal.progress(count_pictures(data.preferences), "pictures") as advance:
        return score_pairs(model, data.preferences, progress=advance)


def _counting(
    scored: ScoredPairs, tuning: ScoredPairs | None, origin: str, asked: Asked
) -> Counting:
    from beholder.eval.preference import GIVEN, Counting, tie_thresholds  # noqa: PLC0415

    thresholds = tie_thresholds(scored, asked.tie_threshold, tuning)
    if tuning is not None and tuning.unreadable():
        lost = len(tuning.rows) - len(tuning.usable())
        origin += f", without {lost} pairs with a picture that has no score"
    return Counting(
        protocol=asked.protocol,
        tie_thresholds=thresholds,
        tie_threshold_from=origin or (GIVEN if thresholds else ""),
        draws=asked.draws,
        seed=asked.seed,
    )


def _own_folder(spec: str) -> Path:
    """The folder that a reward is loaded from, where its evaluation is kept."""
    _, where = terminal.split_spec(spec)
    if not (Path(where) / "config.json").is_file():
        raise ConfigError(f"--save keeps the numbers in a reward's folder, but {where!r} is none")
    return Path(where)


def _refuse_for_feedback(dataset: str, asked: Asked, others: Mapping[str, bool]) -> None:
    given = {
        **others,
        "--validation": bool(asked.validation),
        "--protocol": asked.protocol != _PROTOCOL,
        "--tie-threshold": asked.tie_threshold is not None,
        "--read": bool(asked.read),
    }
    if named := [option for option, is_given in given.items() if is_given]:
        raise ConfigError(
            f"{dataset} holds rich feedback; leave out what is for pairs: {', '.join(named)}"
        )


def _warn_of_learned(models: Mapping[str, Reward], dataset: str) -> None:
    from beholder._verbs import evaluate_data as given  # noqa: PLC0415

    for name in (name for name, model in models.items() if given.has_learned(model, dataset)):
        terminal.note(terminal.one_line(texts.learned_text(name, dataset)))


def _evaluate_feedback(load: Loading, judgements: Path, asked: Asked, json: bool) -> None:
    from beholder.annotation.joining.feedback import read_feedback  # noqa: PLC0415
    from beholder.eval.feedback import evaluate_feedback  # noqa: PLC0415

    models = load()
    _warn_of_learned(models, str(judgements))
    ((name, model),) = models.items()
    result = evaluate_feedback(model, read_feedback(judgements), draws=asked.draws, seed=asked.seed)
    if json:
        terminal.emit({"reward": name, **result.as_dict()})
    else:
        terminal.say(summaries.feedback_text(name, result))
    if result.unscored:
        raise typer.Exit(terminal.SOME_ROWS_FAILED)


def _table_power(folder: Path, by: str, column: str, sure: Certainty, json: bool) -> None:
    from beholder.eval.filtering import default_score  # noqa: PLC0415
    from beholder.eval.power import checkpoint_power  # noqa: PLC0415
    from beholder.tables import ScoreTable  # noqa: PLC0415

    if (folder / "config.json").is_file():
        raise ConfigError(
            f"{folder} is a reward without kept numbers; keep some with `beholder evaluate "
            f"{folder} DATASET --against REWARD --save`, or give a folder of `beholder score`"
        )
    table = ScoreTable(folder)
    score = column or default_score(table)
    found = checkpoint_power(
        table.arrays([by, "prompt", score]), score=score, by=by, certainty=sure
    )
    if json:
        terminal.emit({"checkpoints": [each.as_dict() for each in found]})
    else:
        terminal.say(texts.power_text(found))


def _evaluation_power(folder: Path, within: float, sure: Certainty, json: bool) -> None:
    from beholder.eval.evaluation_record import read_evaluations  # noqa: PLC0415
    from beholder.eval.power import evaluation_power  # noqa: PLC0415

    records = read_evaluations(folder)
    if not records:
        raise DataError(f"{folder} holds no evaluation; `beholder evaluate ... --save` keeps one")
    found = [evaluation_power(each, within=within, certainty=sure) for each in records]
    if json:
        evaluations = [
            {
                "protocol": record["protocol"],
                "data": record["data"],
                "accuracies": [each.as_dict() for each in widths],
                "differences": [each.as_dict() for each in gaps],
            }
            for record, (widths, gaps) in zip(records, found, strict=True)
        ]
        terminal.emit({"evaluations": evaluations})
        return
    for record, (widths, gaps) in zip(records, found, strict=True):
        terminal.say(texts.width_text(texts.record_title(record), widths))
        if gaps:
            terminal.say(texts.power_text(gaps))
