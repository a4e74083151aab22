"""What is asked and answered: the words that the parts of the server share. Nothing knows HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

Encoding = Literal["file", "uint8", "float32"]
Detail = Literal["maps", "words", "deviations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture as it came.

    Attributes:
        data: an encoded file such as JPEG or PNG; or sRGB pixels, row by row, three values each.
        encoding: "file"; "uint8" in [0, 255] or little-endian "float32" in [0, 1] of pixels.
        height, width: of pixels; 0 of a file.
    """

    data: bytes
    encoding: Encoding = "file"
    height: int = 0
    width: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something has no score.

    Attributes:
        code: one of `images`, or "prompt", "no-prompt", "non-finite", "reward-failed", "base64",
            "url", "worker-died"; for programs.
        message: for people; never contents of a picture or prompt.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A picture with its prompt, for some rewards.

    Attributes:
        picture: or why there is none, such as an address that was refused.
        prompt: None where none was given.
        rewards: under the names that they are served by.
        detail: what is told beside total and aspects, of rewards that have it.
    """

    picture: Picture | Fault
    prompt: str | None
    rewards: tuple[str, ...]
    detail: frozenset[Detail] = frozenset()


@dataclass(frozen=True, slots=True)
class Map:
    """A heatmap in [0, 1]: little-endian float32, row by row."""

    height: int
    width: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the prompt, its span `prompt[start:end]` and its probability to be misaligned."""

    word: str
    start: int
    end: int
    p_misaligned: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What one reward says of one item; every number is finite but for unknown aspects, None.

    Attributes:
        total: what a trainer maximises.
        aspects: named parts, in the order of the reward's card.
        deviations: aspect -> how unsure its score is. [detail]
        maps: by kind. [detail]
        words: of the prompt, in order. [detail]
        size: height and width of the picture that was decoded.
    """

    total: float
    aspects: Mapping[str, float | None] = field(default_factory=dict)
    deviations: Mapping[str, float] = field(default_factory=dict)
    maps: Mapping[str, Map] = field(default_factory=dict)
    words: Sequence[Word] = ()
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an item: each reward that it asked for is in exactly one of the two."""

    scores: Mapping[str, Scored] = field(default_factory=dict)
    faults: Mapping[str, Fault] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardInfo:
    """What a client must know of a served reward.

    Attributes:
        name: under which it is served.
        reward: its name in the catalogue, such as "mps".
        identity: what decides its numbers, as `scoring.configuration`: class, options, SHA-256 of
            the weights, version, alpha rule.
        dtype: of its weights, "none" without any.
        measures, weights_license: of its card.
        score_range: None where there is no bound.
        aspects: in order.
        details: what it can tell beside total and aspects.
        needs_prompt: whether a prompt changes the score.
        fitting: what may shrink 8-bit pictures before they are sent, see `fittings`; None keeps
            them whole.
    """

    name: str
    reward: str
    identity: Mapping[str, object]
    dtype: str
    measures: str = ""
    weights_license: str = "none"
    score_range: tuple[float | None, float | None] = (None, None)
    aspects: tuple[str, ...] = ()
    details: tuple[Detail, ...] = ()
    needs_prompt: bool = True
    fitting: Mapping[str, object] | None = None


@runtime_checkable
class Backend(Protocol):
    """What scores; the pool of worker processes, or a stand-in."""

    @property
    def rewards(self) -> Mapping[str, RewardInfo]:
        """What is served, by name, the default first; empty before the first worker stands."""

    @property
    def unready(self) -> str:
        """Why nothing can be scored now, such as "loading" or "draining"; "" if it can."""

    async def score(self, items: Sequence[Item], *, timeout: float) -> list[Answer]:
        """One answer an item, in order.

        A task that is cancelled takes its items out of the queue. Rewards must be among `rewards`.

        Raises:
            QueueFullError: if the queue has no room for all; none is then in it.
            NotReadyError: if `unready`.
            DeadlineError: if it took longer than `timeout` seconds; the rest is dropped.
        """

    async def reload(self) -> None:
        """Load the weights anew and go on with them; no request is refused or lost meanwhile.

        Raises BeholderError if they cannot be loaded; the old ones then stay.
        """
