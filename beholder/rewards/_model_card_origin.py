"""What a reward's weights were before they were trained, as its run's configuration says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beholder.rewards import names, reward_class
from beholder.rewards._towers._licences import (
    UNKNOWN,
    Licence,
    hub_name,
    licences_begun_with,
    repository_licence,
    strictest,
    tag_licence,
)

NEW_WEIGHTS = ("config", "towers", "backbone")
"""Options that leave a head, or all of a reward, to chance instead of to its published weights."""

BLIP_LARGE = "blip_large"
"""The backbone of a new ImageReward: BLIP, as its authors published it."""

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_TOWERS = {"clip", "open_clip", "siglip", "timm_text"}
_ELSEWHERE = {"backbone", "model", "variant"}
"""Options by which published weights are others than those that the card names."""

_NEVER_PUBLISHED = {"richhf"}
"""Rewards that `build` makes anew where no weights are given; a card may name published ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a reward's weights were before they were trained.

    Attributes:
        licences: of everything they began with; empty if they were random.
        base_models: repositories of the hub among it.
        is_known: whether the folder tells at all.
    """

    licences: tuple[Licence, ...] = ()
    base_models: tuple[str, ...] = ()
    is_known: bool = True

    @property
    def licence(self) -> str | None:
        """The strictest of them, as the hub spells it; None if the weights were random."""
        return strictest(one.name for one in self.licences) if self.is_known else UNKNOWN


def origin_of(config: Mapping[str, Any]) -> Origin:
    """What a run's `config.yaml` says; without one nothing is known.

    A reward's saved options do not tell: they rebuild an architecture, whatever filled it.
    """
    reward = config.get("reward")
    if not isinstance(reward, str):
        return Origin(is_known=False)
    if reward not in names():
        return _of_another(reward)
    given = config.get("options") or {}
    if not isinstance(given, Mapping):
        return Origin(is_known=False)
    options = _with_defaults(reward, {k: v for k, v in given.items() if v is not None})
    licences, base_models = list(_sources(reward, options)), list(_repositories(options))
    if _is_published(reward, options):
        card = reward_class(reward).card
        licences.append(Licence(f"published weights of {reward}", _published(reward, options)))
        base_models += [] if _ELSEWHERE & options.keys() else _REPOSITORY.findall(card.weights)[:1]
    return Origin(licences=tuple(licences), base_models=tuple(base_models))


def _with_defaults(reward: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options with what `build` takes where they are silent."""
    if reward == "head":
        from beholder.rewards.head import SIGLIP2  # noqa: PLC0415

        return {"towers": SIGLIP2, **options}
    if reward == "aesthetic" and "config" not in options:
        return {"backbone": _encoder(options), **options}
    return options


def _sources(reward: str, options: Mapping[str, Any]) -> Iterator[Licence]:
    """Everything that the options name; what nobody here understands is unknown."""
    if "weights" in options:
        yield Licence(f"{reward}, {_name(options['weights'])}", UNKNOWN)
    if "backbone" in options:
        yield _backbone(reward, options["backbone"])
    if _is_strange(options.get("towers", {"kind": "clip"})):
        yield Licence("towers", UNKNOWN)
        return
    yield from licences_begun_with(options.get("towers", {}))
    yield from licences_begun_with({k: one for k, one in options.items() if k != "towers"})


def _is_published(reward: str, options: Mapping[str, Any]) -> bool:
    """Whether `build` puts published weights into the reward, or into its head."""
    if reward in _NEVER_PUBLISHED or reward_class(reward).card.weights_license == "none":
        return False
    new = {"config"} if reward == "aesthetic" else set(NEW_WEIGHTS)
    return not (new | {"weights"}) & options.keys()


def _published(reward: str, options: Mapping[str, Any]) -> str:
    """The licence of the published weights, those of the version that the options ask for."""
    said = reward_class(reward).card.weights_license
    if reward == "aesthetic":
        from beholder.rewards.aesthetic import PUBLISHED  # noqa: PLC0415

        found = PUBLISHED.get(str(options.get("version", "v2")))
        said = found.license if found else UNKNOWN
    return hub_name(said)


def _encoder(options: Mapping[str, Any]) -> str:
    """What an aesthetic predictor reads pictures by, if its options name nothing else."""
    from beholder.rewards.siglip import PUBLISHED  # noqa: PLC0415

    return PUBLISHED.repo if options.get("version") == "v2.5" else "openai"


def _backbone(reward: str, given: Any) -> Licence:
    what = f"{reward}'s backbone, {_name(given)}"
    if reward == "imagereward" and given == BLIP_LARGE:
        return Licence("BLIP, model_large.pth", "bsd-3-clause")
    if reward == "aesthetic" and isinstance(given, str) and not Path(given).exists():
        known = repository_licence(given)
        return Licence(what, tag_licence(given) if known == UNKNOWN else known)
    return Licence(what, UNKNOWN)


def _name(given: Any) -> str:
    """A file's last name; a repository, and what is no text, as it is."""
    text = str(given)
    return text if repository_licence(text) != UNKNOWN else Path(text).name


def _is_strange(towers: Any) -> bool:
    """Whether towers are none that `licences_begun_with` reads."""
    return not (isinstance(towers, Mapping) and towers.get("kind") in _TOWERS)


def _of_another(reward: str) -> Origin:
    """A reward that began as one in a folder, in a repository or of somebody's own code."""
    is_listed = _is_listed(reward)
    name = repository_licence(reward) if is_listed else UNKNOWN
    licence = Licence(reward if is_listed else Path(reward).name, name)
    return Origin(licences=(licence,), base_models=(reward,) if is_listed else ())


def _repositories(options: Mapping[str, Any]) -> Iterator[str]:
    """Repositories of the hub that hold the weights which options name."""
    towers = options.get("towers", options)
    if not isinstance(towers, Mapping):
        return
    if towers.get("kind") == "open_clip":
        if found := _open_clip_repository(towers):
            yield found
        return
    for given in towers.values():
        place = given.get("folder") if isinstance(given, Mapping) else None
        if isinstance(place, str) and _is_listed(place):
            yield place


def _is_listed(place: str) -> bool:
    """Whether it is a repository of the hub for sure: a folder may have such a name, too."""
    return repository_licence(place) != UNKNOWN and not Path(place).exists()


def _open_clip_repository(towers: Mapping[str, Any]) -> str:
    import open_clip  # noqa: PLC0415  (a second)

    name, tag = str(towers.get("name")), str(towers.get("pretrained"))
    found = open_clip.get_pretrained_cfg(name, tag) or {}
    return str(found.get("hf_hub") or "").strip("/")
