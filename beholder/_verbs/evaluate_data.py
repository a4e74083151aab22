"""What `evaluate` is given: pairs of a folder or a published data set, rewards and their cards."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import beholder
from beholder import _terminal as terminal
from beholder.errors import ConfigError, DataError
from beholder.eval.evaluation_record import PairData, Published

if TYPE_CHECKING:
    from beholder.annotation.sources import Record, Source
    from beholder.rewards import Reward, RewardCard
    from beholder.types import Comparison

_CARDS_CALL = {
    "imagerewarddb": "ImageReward test",
    "hpdv2": "HPDv2 test",
    "pickapic": "Pick-a-Pic test",
    "hpdv3": "HPDv3 test",
    "mhp": "MHP overall",
}
"""How the cards of rewards call the test split of a data set."""
_TEST = ("", "test", "test_unique")
_PACKAGES = (
    *("torch", "torchvision", "transformers", "open_clip_torch", "timm", "peft"),
    *("numpy", "pillow"),
)
_LEARNED = ("preferences", "ratings", "feedback")
"""Keys of a run that name folders it learned from; those of `mix` do, too."""
_UNPACKED = "pictures"
"""The option that says where pictures are unpacked, which moves no number."""


def read_pairs(spec: str, options: Sequence[str], split: str) -> PairData:
    """Pairs of a folder of judgements, or of "NAME:PLACE[:SPLIT]", a published data set.

    Args:
        spec: the folder; or one of `beholder.annotation.sources.names()`, then where its published
            files lie (a folder or hub repository; empty for the published one), then its split.
        options: "option=value" of the data set's reader.
        split: taken where the spec has none.

    Raises:
        ConfigError: if there is neither such a folder nor such a data set, or an option is wrong.
        AnnotationError: if the files are missing or damaged.
    """
    if Path(spec).is_dir():
        return _folder(Path(spec), options)
    from beholder.annotation import sources  # noqa: PLC0415

    name, colon, rest = spec.partition(":")
    if name not in sources.names():
        raise DataError(
            f"there is no folder {spec!r}; give a folder of judgements, or a published data set as "
            f"NAME:PLACE[:SPLIT], where NAME is one of {', '.join(_pair_sets())}"
        )
    given = terminal.split_settings([f"{name}.{each}" for each in options], [name])
    source = sources.load(name, **given.get(name, {}))
    _check_source(name, source)
    place, colon, last = rest.rpartition(":")
    if not colon or not (last in source.card.splits or Path(place).is_dir()):
        place, last = rest, split
    return _published(name, source, place or None, last, given.get(name, {}))


def source_name(spec: str) -> str:
    """The NAME of "NAME:PLACE[:SPLIT]"; "" for a folder."""
    return "" if Path(spec).is_dir() else spec.partition(":")[0]


def described(name: str, reward: Reward) -> dict[str, object]:
    """Everything about a reward that moves its scores, as plain JSON-ready values.

    "weights" is the sha256 of its weights, as `calibration.json` has it, "dtype" the types they
    have, "resize" how pictures come to its sizes.
    """
    from beholder.rewards.scoring import weights_hash  # noqa: PLC0415

    types = {str(t.dtype).removeprefix("torch.") for t in reward.parameters()}
    return {
        "name": name,
        "reward": reward.card.name,
        "class": f"{type(reward).__module__}:{type(reward).__qualname__}",
        "weights": weights_hash(reward),
        "dtype": " and ".join(sorted(types)) or "none",
        "resize": list(_resizes(reward)),
        "transparency": "white",
        "options": reward.options(),
    }


def has_learned(reward: Reward, dataset: str) -> bool:
    """Whether the run that a reward's folder is of was trained on this folder."""
    import yaml  # noqa: PLC0415

    path = None if reward.folder is None else reward.folder / "config.yaml"
    if path is None or not path.is_file() or not Path(dataset).is_dir():
        return False
    try:
        config = _object(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError):
        return False  # no run of ours
    named = [config.get(key) for key in _LEARNED]
    named += [_object(one).get("preferences") for one in _object(config.get("mix")).values()]
    mine = {Path(dataset).resolve(), (Path(dataset) / "preferences").resolve()}
    theirs = [Path(one).resolve() for one in named if isinstance(one, str) and one]
    return any(place in mine or place / "preferences" in mine for place in theirs)


def published_figures(data: PairData, cards: Iterable[RewardCard] = ()) -> list[Published]:
    """What the `cards`, and those of all rewards, say about the same data set.

    None where the data is no published test split, whole and under its own name.
    """
    from beholder.rewards import names, reward_class  # noqa: PLC0415

    if _called(data) is None:
        return []
    known = [*cards, *(reward_class(name).card for name in names())]
    return list(dict.fromkeys(each for card in known for each in own_figures(data, card)))


def own_figures(data: PairData, card: RewardCard) -> list[Published]:
    """What one reward's card says about the same data set."""
    called = _called(data)
    return [
        Published(reward=card.name, **asdict(each)) for each in card.accuracy if each.data == called
    ]


def versions() -> dict[str, str | None]:
    """Beholder, Python, and the packages that compute scores; None for one that is not there."""
    return {
        "beholder": beholder.__version__,
        "python": platform.python_version(),
        **{package: _version(package) for package in _PACKAGES},
    }


def _called(data: PairData) -> str | None:
    is_test = data.is_published and data.limit is None and data.split in _TEST
    return _CARDS_CALL.get(data.name) if is_test else None


def _folder(folder: Path, options: Sequence[str]) -> PairData:
    from beholder.annotation.records.dataset import read_preferences  # noqa: PLC0415

    if options:
        raise ConfigError(
            f"--read gives options to the reader of a published data set; {folder} is a folder of "
            "judgements"
        )
    preferences = read_preferences(folder)
    said = _report(folder)
    if not said:
        return PairData(name=folder.resolve().name, preferences=preferences)
    limit = said.get("limit")
    return PairData(
        name=str(said["source"]).partition("-")[0],
        split=str(said.get("split", "")),
        options=_object(said.get("options")),
        preferences=preferences,
        rows_left_out={why: int(str(n)) for why, n in _object(said.get("left_out")).items()},
        limit=limit if isinstance(limit, int) else None,
        is_published="limit" in said and limit is None,
    )


def _report(folder: Path) -> Mapping[str, object]:
    """What `annotate source` wrote of the data set that it converted; empty without."""
    try:
        said = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) and isinstance(said.get("source"), str) else {}


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _check_source(name: str, source: Source) -> None:
    if source.card.kind != "comparisons":
        raise ConfigError(
            f"{name} holds {source.card.kind}, not pairs; convert it with `beholder annotate "
            f"source {name}` and evaluate that folder"
        )
    if getattr(source, _UNPACKED, "") is None:
        raise ConfigError(
            f"the pictures of {name} travel inside its rows; --read pictures=FOLDER says where "
            "they are unpacked"
        )


def _published(
    name: str, source: Source, place: str | None, split: str, options: Mapping[str, object]
) -> PairData:
    from beholder.annotation.joining.aggregate import by_votes  # noqa: PLC0415
    from beholder.annotation.joining.answers import DOUBTFUL  # noqa: PLC0415
    from beholder.annotation.sources import Tally  # noqa: PLC0415
    from beholder.annotation.sources._source import MISSING_PICTURE  # noqa: PLC0415

    tally = Tally()
    records = list(source.records(place, split, tally))
    # a missing picture is the reward's to report: its pairs are counted as left out, not dropped
    preferences = by_votes(_apart(records), exclude=DOUBTFUL - {MISSING_PICTURE})
    if not preferences:
        why = "; ".join(f"{n} times {reason}" for reason, n in tally.left_out.most_common(3))
        raise DataError(f"none of {tally.rows} rows of {name} {split} gives a pair ({why})")
    return PairData(
        name=name,
        split=split,
        options={key: value for key, value in options.items() if key != _UNPACKED},
        preferences=preferences,
        rows_left_out=dict(tally.left_out),
        is_published=True,
    )


def _apart(records: Iterable[Record]) -> Iterator[Comparison]:
    """Comparisons, each under a key of its own: what several annotators say is not joined."""
    from beholder.types import Comparison  # noqa: PLC0415

    seen: dict[str, int] = {}
    for record in records:
        if isinstance(record, Comparison):
            count = seen[record.key] = seen.get(record.key, 0) + 1
            yield record if count == 1 else replace(record, key=f"{record.key}/{count}")


def _pair_sets() -> list[str]:
    from beholder.annotation import sources  # noqa: PLC0415

    return [name for name in sources.names() if sources.load(name).card.kind == "comparisons"]


def _resizes(reward: Reward) -> Iterator[dict[str, object]]:
    """How pictures are fitted, of each part that fits them."""
    from beholder.rewards._preprocess import Preprocess  # noqa: PLC0415

    seen = []
    for module in reward.modules():
        for value in vars(module).values():
            if isinstance(value, Preprocess) and value not in seen:
                seen.append(value)
                yield asdict(value)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
