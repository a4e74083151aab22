"""The card of a reward's folder: what it scores, how it was made, how far to trust it.

Everything on it stands in the folder's own files; what they do not say, the card says is not known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beholder._page.document import write_whole
from beholder._page.places import without_places
from beholder._page.wording import in_markdown, number
from beholder.calibration import FILE as CALIBRATION
from beholder.calibration import Calibration, read_calibration
from beholder.errors import DataError
from beholder.rewards import names, reward_class
from beholder.rewards._model_card_head import aspects_of, data_of, head, is_number, protocol_of
from beholder.rewards._model_card_origin import Origin, origin_of

CARD = "README.md"
RECORDS = ("evaluation.json", "summary.json", "fidelity.json", "agreement.json", "versions.json")
"""What the card is made of, beside `config.json`, `config.yaml` and `calibration.json`."""

_TOLD = (
    ("train", "what trained"),
    ("loss", "loss"),
    ("pairs_per_batch", "pairs a batch"),
    ("held_out_share", "share of prompts held out"),
    ("aspect_weights", "weights of aspects"),
)
_FIT = ("steps", "accumulation", "learning_rate", "schedule", "weight_decay", "ema_decay", "seed")
_LIMITS = (
    "A score stands in for people's judgement and is not it. Whatever is tuned against it may "
    "learn its faults: look at the pictures, and ask people, before you call them better.",
    "Accuracies hold for pictures, prompts and annotators like those they were measured on.",
    "Scores of two rewards, or of two versions of one, do not share a scale.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the files of a reward's folder say.

    Attributes:
        reward: its kind, as in `config.json`.
        options: saved with it.
        config: how it was trained; empty if it was not trained here.
        records: the name of each of `RECORDS` that is there -> what it holds.
        calibration: if there is one.
    """

    reward: str
    options: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    records: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None

    @classmethod
    def of(cls, folder: Path) -> Facts:
        """What a folder says; DataError naming a file that is damaged or no reward's."""
        saved = _read(folder / "config.json")
        if not isinstance(saved, Mapping) or not isinstance(saved.get("reward"), str):
            raise DataError(f"{folder} holds no reward; expected what save_pretrained writes")
        there = folder / CALIBRATION
        return cls(
            reward=saved["reward"],
            options=_mapping(saved.get("options")),
            config=_mapping(without_places(_read(folder / "config.yaml"))),
            records={n: found for n in RECORDS if (found := _read(folder / n)) is not None},
            calibration=read_calibration(there) if there.is_file() else None,
        )

    @property
    def summary(self) -> Mapping[str, Any]:
        """Of the training run."""
        return _mapping(self.records.get("summary.json"))

    @property
    def evaluations(self) -> list[Mapping[str, Any]]:
        """Records of evaluations that have a number."""
        found = self.records.get("evaluation.json")
        rows = found if isinstance(found, list) else [found]
        return [row for row in rows if isinstance(row, Mapping) and aspects_of(row)]


def write_card(folder: Path, repo: str = "") -> Path:
    """The path of `README.md` in a reward's folder; see `model_card`."""
    return write_whole(folder / CARD, model_card(folder, repo))


def model_card(folder: Path, repo: str = "") -> str:
    """A reward's card as the hub reads it: YAML, then Markdown; no place of this machine.

    Args:
        folder: that holds config.json and whatever is known of the reward.
        repo: "user/name" where it will lie; "" stands for wherever the folder is.

    Raises DataError naming a file that is damaged, or if there is no reward.
    """
    import yaml  # noqa: PLC0415

    facts = Facts.of(folder)
    origin = origin_of(facts.config)
    name = repo.rpartition("/")[2] or folder.resolve().name
    top = yaml.safe_dump(
        head(name, facts.reward, origin, facts.evaluations), sort_keys=False, allow_unicode=True
    )
    parts = filter(None, _body(facts, origin, name, repo or "path/to/this/folder"))
    return f"---\n{top}---\n\n" + "\n\n".join(parts) + "\n"


def _body(facts: Facts, origin: Origin, name: str, place: str) -> Iterator[str]:
    yield f"# {in_markdown(name)}"
    yield _measures(facts)
    yield from (f"> **Please note.** {in_markdown(w)}" for w in _warnings(facts.summary))
    yield _use(facts, place)
    yield "## Accuracy\n\n" + "\n\n".join(_accuracy(facts))
    yield "## Calibration\n\n" + _calibration(facts.calibration)
    yield "## Data\n\n" + "\n\n".join(_data(facts))
    yield "## How it was trained\n\n" + _recipe(facts)
    yield "## Licence\n\n" + _licence(origin)
    yield "## Limits\n\n" + "\n".join(f"- {limit}" for limit in _LIMITS)


def _measures(facts: Facts) -> str:
    """What a score means."""
    if facts.reward not in names():
        return (
            f"A reward of the class {in_markdown(facts.reward)}; what it measures is not recorded."
        )
    card = reward_class(facts.reward).card
    given = _mapping(facts.options.get("conditions"))
    aspects = list(given or card.aspects)
    listed = f" Aspects: {', '.join(map(in_markdown, aspects))}." if aspects else ""
    return (
        f"Scores pictures{' for prompts' if card.needs_prompt else ''}, higher is better. "
        f"Architecture {in_markdown(card.name)}: {in_markdown(card.measures)} "
        f"({in_markdown(card.paper)}).{listed} What it learned is what its data say, below."
    )


def _use(facts: Facts, place: str) -> str:
    lines = ["import beholder", f"reward = beholder.load({place!r})"]
    if ":" in facts.reward:
        module, _, kind = facts.reward.partition(":")
        lines = [f"from {module} import {kind}", f"reward = {kind}.from_pretrained({place!r})"]
    lines.append('print(reward.score("picture.png", "a red fox").total)')
    code = "\n".join(line.replace("`", "'") for line in lines)
    return f"## Use\n\n```python\n{code}\n```"


def _accuracy(facts: Facts) -> Iterator[str]:
    """Evaluations by protocol; what training itself measured; how well it imitates a judge."""
    for record in facts.evaluations:
        title = f"{in_markdown(data_of(record))}, protocol {in_markdown(protocol_of(record))}"
        meaning = in_markdown(record.get("meaning", ""))
        rows = [_accuracy_row(aspect, one) for aspect, one in aspects_of(record).items()]
        yield f"{title}{': ' if meaning else ''}{meaning}\n\n{_table(_HEADER, rows)}"
        if told := " ".join(_conditions(record)):
            yield told
    if not facts.evaluations:
        yield "Not evaluated: its accuracy by a protocol is not known. `beholder evaluate` tells."
    else:
        yield "Intervals are 95 %, over prompts. Accuracies of two protocols do not compare."
    metrics = _mapping(facts.summary.get("metrics"))
    if is_number(found := metrics.get("eval/accuracy")):
        yield _own_accuracy(facts, found)
    fidelity = _mapping(facts.records.get("fidelity.json"))
    rows = [_accuracy_row(a, one) for a, one in aspects_of(_mapping(fidelity.get("judge"))).items()]
    if rows:
        yield (
            "How well it imitates the machine that judged its data, on held-out prompts; this says "
            f"nothing of people:\n\n{_table(_HEADER, rows)}"
        )


def _conditions(record: Mapping[str, Any]) -> Iterator[str]:
    """What the numbers of an evaluation depend on beside its protocol and data."""
    thresholds = {
        aspect: one["tie_threshold"]
        for aspect, one in aspects_of(record).items()
        if is_number(one.get("tie_threshold"))
    }
    if thresholds:
        values = ", ".join(f"{in_markdown(a)} {t:g}" for a, t in thresholds.items())
        origin = in_markdown(record.get("tie_threshold_from") or "origin not known")
        yield f"Tie threshold ({origin}): {values}."
    scored = _mapping(record.get("scored_by"))
    if borrowed := [f"{a} by {score}" for a, score in scored.items() if score != a]:
        yield f"Judged by another score than its own: {in_markdown(', '.join(borrowed))}."
    if lost := record.get("pairs_left_out"):
        yield f"{in_markdown(lost)} pairs with a picture that has no score do not count."
    data = _mapping(record.get("data"))
    if limit := data.get("limit"):
        yield f"Of the first {in_markdown(limit)} records of the data alone."


def _own_accuracy(facts: Facts, found: float) -> str:
    """What training measured of itself, and whether that chose the weights."""
    place, summary = facts.config.get("evaluation"), facts.summary
    by = f"judgements of {in_markdown(Path(place).name)}" if place else "prompts that it held out"
    told = f"Training measured itself on the {by}: {number(found, 3)}, without an interval."
    every = _mapping(facts.config.get("fit")).get("evaluate_every_steps")
    steps, best = summary.get("steps"), summary.get("best_step")
    is_chosen = best != steps or (is_number(every) and is_number(steps) and every < steps)
    if best is None or not is_chosen:
        return told
    return f"{told} It chose by them which weights were kept, so this is a little too good."


_HEADER = ("aspect", "accuracy", "95 % interval", "pairs", "prompts")


def _accuracy_row(aspect: str, one: Mapping[str, Any]) -> Sequence[str]:
    low, high = (number(_float(one.get(end)), 3) for end in ("low", "high"))
    known = f"{low} to {high}" if is_number(one.get("low")) else "not known"
    counts = (in_markdown(one.get(key, "not known")) for key in ("pairs", "prompts"))
    return [in_markdown(aspect), number(_float(one["accuracy"]), 3), known, *counts]


def _calibration(found: Calibration | None) -> str:
    if found is None:
        return (
            "Not calibrated: the sigmoid of a difference of scores is not how likely people agree. "
            "`beholder calibrate` finds out."
        )
    rows = [
        [
            in_markdown(name),
            number(one.curve.temperature, 4) if one.curve.method == "temperature" else "isotonic",
            f"{number(one.before.ece.value, 3)} → {number(one.after.ece.value, 3)}",
            number(one.curve.tie_threshold, 2),
            str(one.pairs),
        ]
        for name, one in found.scores.items()
    ]
    table = _table(("score", "temperature", "calibration error", "tie threshold", "pairs"), rows)
    return (
        "How likely people prefer the picture of the higher score, measured on prompts that the "
        f"curve was not fitted on:\n\n{table}"
    )


def _data(facts: Facts) -> Iterator[str]:
    """Counts, sources, agreement."""
    counted = [
        f"{in_markdown(sides['training'])} {what} to learn from, "
        f"{in_markdown(sides['held_out'])} held out."
        for what in ("pairs", "pictures", "ratings", "rankings")
        if {"training", "held_out"} <= set(sides := _mapping(facts.summary.get(what)))
    ]
    yield " ".join(counted) or "How many judgements it learned from is not known."
    if dropped := _mapping(facts.summary.get("dropped")):
        told = ", ".join(f"{in_markdown(n)} {in_markdown(code)}" for code, n in dropped.items())
        yield f"Not used: {told}."
    if sources := list(_sources(facts.config)):
        yield f"From {', '.join(map(in_markdown, sources))} (names of folders)."
    yield "The licence of the pictures and judgements is not recorded."
    aspects = _mapping(_mapping(facts.records.get("agreement.json")).get("aspects"))
    rows = [_agreement_row(a, one) for a, one in aspects.items() if isinstance(one, Mapping)]
    if rows:
        header = ("aspect", "answers", "agreeing", "Krippendorff's alpha (ordinal)")
        yield f"How far annotators agree:\n\n{_table(header, rows)}"
    else:
        yield "How far annotators agree is not known."


def _agreement_row(aspect: str, one: Mapping[str, Any]) -> Sequence[str]:
    alpha = _mapping(one.get("alpha_ordinal")).get("value")
    percent = _float(one.get("percent"))
    share = number(None if percent is None else 100 * percent, 1)
    answers = in_markdown(one.get("answers", "not known"))
    return [in_markdown(aspect), answers, f"{share} %", number(_float(alpha), 3)]


def _recipe(facts: Facts) -> str:
    if not facts.config:
        return "Not recorded."
    config, fit = facts.config, _mapping(facts.config.get("fit"))
    told = {"began with": config.get("reward", "not recorded")}
    told |= {name: config[key] for key, name in _TOLD if config.get(key) not in (None, "", {})}
    told |= {key.replace("_", " "): fit[key] for key in _FIT if key in fit}
    for key, name in (("steps", "steps done"), ("best_step", "weights kept of step")):
        if key in facts.summary:
            told[name] = facts.summary[key]
    versions = _mapping(facts.records.get("versions.json"))
    for package in ("beholder", "torch"):
        if versions.get(package):
            told[package] = versions[package]
    return _table(("", ""), [[in_markdown(k), in_markdown(_plain(v))] for k, v in told.items()])


def _licence(origin: Origin) -> str:
    code = "The code that runs it, beholder, stands under Apache-2.0."
    if not origin.is_known:
        return (
            "What the weights were before training is not recorded, so their licence is unknown. "
            + code
        )
    if not origin.licences:
        return (
            "The weights were random before training, so no earlier licence binds them; this card "
            f"states none: add `license:` to its head once you know what you may grant. {code}"
        )
    listed = "\n".join(f"- {in_markdown(one.what)}: {one.told}" for one in origin.licences)
    return (
        f"The weights began with:\n\n{listed}\n\nThe head of this card names the strictest of "
        f"them. The data may bind the weights, too. {code}"
    )


def _sources(config: Mapping[str, Any]) -> Iterator[str]:
    mixed = _mapping(config.get("mix"))
    if mixed:
        yield from mixed
        return
    for key in ("preferences", "ratings", "feedback"):
        if isinstance(found := config.get(key), str) and found:
            yield Path(found).name


def _warnings(summary: Mapping[str, Any]) -> list[str]:
    found = summary.get("warnings")
    return [str(one) for one in found] if isinstance(found, list) else []


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _plain(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _read(path: Path) -> Any:
    """What a YAML or JSON file holds; None if there is none."""
    import yaml  # noqa: PLC0415

    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{path} cannot be read: {next(iter(str(error).splitlines()))}") from error
