"""What a reward is: prepare pictures, score them for prompts, save and load."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast, final

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from beholder.errors import ConfigError, DataError, ImageError
from beholder.images import Alpha, ImageSource, as_list, read_each, read_images
from beholder.rewards._card import RewardCard as RewardCard
from beholder.rewards._options import read_options as read_options
from beholder.rewards._options import take_options as take_options
from beholder.rewards._precision import cast_parts, moved
from beholder.rewards._preprocess import Fitting
from beholder.rewards._prompts import MAX_PROMPT_CHARACTERS as MAX_PROMPT_CHARACTERS
from beholder.rewards._prompts import distinct as distinct
from beholder.rewards._prompts import prompt_fault as prompt_fault
from beholder.rewards._prompts import spread_prompts as spread_prompts
from beholder.rewards._towers._base import Features
from beholder.types import Scores, WordLabel

if TYPE_CHECKING:
    from beholder.calibration import Calibration


class Reward(nn.Module, ABC):
    """Scores pictures for prompts; higher is better.

    A reward says how pixels are prepared (`preprocess`), how prepared pixels are scored
    (`score_prepared`) and which options rebuild it (`options`, `from_options`). `score` is the
    friendly door for pictures of any kind; `forward` is the differentiable one.
    """

    card: ClassVar[RewardCard]

    float32: ClassVar[tuple[str, ...]] = ()
    """Parts, such as a score head, that stay in float32 when `load` casts to half precision."""

    calibration: Calibration | None = None
    """How far people agree with its scores; None until `beholder calibrate` found it out."""

    folder: Path | None = None
    """Where it was loaded from; None if it was built otherwise."""

    def _repr_html_(self) -> str:
        from beholder.rewards._card_sheet import card_sheet  # noqa: PLC0415  (drawing comes last)

        weights = sum(p.numel() for p in self.parameters())
        return card_sheet(self.card, f"{self.card.name}: {weights:,} weights").html()

    @property
    def fitting(self) -> Fitting | None:
        """What may shrink 8-bit pictures ahead, in threads, before `preprocess`; None keeps them.

        `preprocess` of pictures so shrunk must give what it gives of the whole ones.
        """
        return None

    def encode(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Tensor | Features:
        """What the prompts do not change, a row each; `score` computes it once a picture."""
        return pixel_values

    def score_encoded(self, encoded: Tensor | Features, prompts: Sequence[str]) -> Scores:
        """Scores of what `encode` gave, one prompt a row."""
        return self.score_prepared(cast("Tensor", encoded), prompts)

    @abstractmethod
    def preprocess(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        """Model-ready values from sRGB pixels, uint8 or float in [0, 1]; gradients pass floats."""

    @abstractmethod
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> Scores:
        """Score values that `preprocess` gave, one prompt each."""

    @abstractmethod
    def options(self) -> dict[str, object]:
        """JSON-ready options from which `from_options` rebuilds this architecture."""

    def deciding(self) -> dict[str, object]:
        """Those of `options` that decide its numbers: all, but where a server is."""
        return self.options()

    @classmethod
    @abstractmethod
    def from_options(cls, options: Mapping[str, object]) -> Reward:
        """A reward of that architecture, random weights; ConfigError for unknown options."""

    def forward(self, pixels: Tensor, prompts: Sequence[str]) -> Scores:
        """Differentiable scores of pixels (b, 3, h, w), one prompt each.

        Pixels are float in [0, 1] or uint8, of any size.
        Raises DataError if the shape, the value range or the number of prompts is wrong.
        """
        check_pixels(pixels)
        texts = spread_prompts(prompts, len(pixels), needed=self.card.needs_prompt)
        for row, text in enumerate(texts):
            if why := prompt_fault(text):
                raise DataError(f"prompt {row}: {why}")
        if not texts:
            return self._empty()
        scores = self.score_prepared(self.preprocess(pixels), texts)
        return replace(scores, sizes=(_size(pixels),) * len(pixels))

    @final
    @torch.no_grad()
    def score(
        self,
        images: ImageSource | Sequence[ImageSource],
        prompts: str | Sequence[str] | None = None,
        *,
        batch_size: int = 32,
        alpha: Alpha = "white",
        strict: bool = False,
    ) -> Scores:
        """Scores of pictures, on the CPU in float32; every picture has its row, in order.

        Args:
            images: one picture or many: paths, encoded bytes, PIL images, arrays or tensors.
            prompts: one for all or one each; None where the reward needs none.
            batch_size: pictures in one pass of the model.
            alpha: behind transparent pixels: "white", "black" or "drop" (hidden colours show).
            strict: raise for the first picture or prompt that cannot be scored, before any is.
                Otherwise its row is NaN and `Scores.errors` says why.

        Raises:
            DataError: if the numbers of pictures and prompts differ, or with `strict` as above.
        """
        sources = as_list(images)
        texts = spread_prompts(prompts, len(sources), needed=self.card.needs_prompt)
        if not sources:
            return self._empty()
        if batch_size < 1:
            raise DataError(f"batch_size must be 1 or more, got {batch_size}")
        if strict:
            self._refuse_faults(sources, texts, alpha)
        with evaluating(self):
            starts = range(0, len(sources), batch_size)
            parts = [
                self._score_batch(sources[k : k + batch_size], texts[k : k + batch_size], alpha)
                for k in starts
            ]
        return Scores.concatenate(parts)

    @final
    def score_rows(
        self,
        rows: Sequence[Tensor | ImageError],
        prompts: Sequence[str],
        sizes: Sequence[tuple[int, int]] = (),
    ) -> Scores:
        """Scores of decoded pictures (3, h, w) of any sizes; a row that is an error stays one.

        The inner door of `score` and of the table writer; also turns non-finite scores into errors.
        Pictures may be whole or shrunk by `fitting`; `sizes` are those of the whole ones. One that
        stands in several rows, as the same tensor, is encoded once.
        """
        errors = {
            k: f"{row.code}: {row}" for k, row in enumerate(rows) if isinstance(row, ImageError)
        }
        for k, prompt in enumerate(prompts):
            if k not in errors and (why := prompt_fault(prompt)):
                errors[k] = f"prompt: {why}"
        good = [k for k in range(len(rows)) if k not in errors]
        if not good:
            return self._empty(len(rows), errors)
        order, scores = self._score_good([cast("Tensor", rows[k]) for k in good], good, prompts)
        spread = self._scatter(scores, order, len(rows), errors)
        known = sizes or [(0, 0) if isinstance(row, ImageError) else _size(row) for row in rows]
        return replace(spread, sizes=tuple(known))

    @final
    def win_probability(self, scores: Scores) -> Scores:
        """This reward's scores as how likely people prefer each picture to one of a reference set.

        Total and aspects in [0, 1], without gradient; NaN stays NaN. An aspect that could not be
        calibrated is left out. Raises ConfigError if there is no calibration.
        """
        from beholder.rewards._calibration import win_probability  # noqa: PLC0415

        return win_probability(self, scores)

    @final
    @property
    def device(self) -> torch.device:
        """Where this reward's weights are; the CPU if it has none."""
        return next((t.device for t in (*self.parameters(), *self.buffers())), torch.device("cpu"))

    @final
    def cast(self, dtype: torch.dtype | None) -> Reward:
        """This reward with its weights in `dtype`, but never those of `float32` in half precision.

        None changes nothing. A calibration that was found with other precision is set aside, with
        a warning. Raises ConfigError unless the type is a floating-point one.
        """
        if dtype is not None:
            cast_parts(self, dtype, self.float32)
            if self.calibration is not None:
                from beholder.rewards._calibration import after_cast  # noqa: PLC0415  (imports this)

                self.calibration = after_cast(self)
        return self

    @final
    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json`, `model.safetensors` and, if there is one, `calibration.json`.

        `beholder.load(folder)` reads them back.
        """
        from beholder.rewards._weights import save_folder  # noqa: PLC0415  (hub libraries cost time)

        save_folder(self, folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path, **overrides: object) -> Reward:
        """The reward in a folder, or hub repository "user/repo", that `save_pretrained` wrote.

        `overrides` replace saved options, such as `threshold=0.01` of MPS. A folder names its
        reward; called on a concrete class, that class is used whatever the name. A folder's
        `calibration.json` becomes `calibration`, unless an option was replaced.
        Raises WeightsError if the folder is not a reward's, is damaged or does not fit.
        """
        from beholder.rewards._calibration import folder_calibration  # noqa: PLC0415
        from beholder.rewards._weights import load_folder  # noqa: PLC0415

        reward = load_folder(cls, folder, overrides)
        reward.calibration = folder_calibration(reward)
        return reward

    @final
    def push_to_hub(self, repo: str, *, private: bool = False) -> str:
        """Upload this reward to the hub as "user/repo"; gives the repository's address.

        What `save_pretrained` writes, a generated card, and what the folder that it was loaded from
        knows of these weights, such as evaluation.json; `load("user/repo")` reads them back.
        """
        from beholder.rewards._weights import push  # noqa: PLC0415

        return push(self, repo, private=private)

    def _score_batch(
        self, sources: Sequence[ImageSource], texts: Sequence[str], alpha: Alpha
    ) -> Scores:
        fit = self.fitting
        read = read_each(sources, lambda p: (shrunk(p, fit), _size(p)), alpha=alpha)
        rows = [r if isinstance(r, ImageError) else r[0] for r in read]
        sizes = [(0, 0) if isinstance(r, ImageError) else r[1] for r in read]
        return self.score_rows(rows, texts, sizes)

    def _score_good(
        self, pictures: Sequence[Tensor], rows: Sequence[int], prompts: Sequence[str]
    ) -> tuple[list[int], Scores]:
        """Scores of pictures, each distinct one encoded once, and the row of each score."""
        prepared = self._prepared({id(picture): picture for picture in pictures})
        order: list[int] = []
        parts = []
        for group in grouped([tuple(prepared[id(p)].shape) for p in pictures]):
            mine = list(dict.fromkeys(id(pictures[at]) for at in group))
            encoded = self.encode(torch.cat([prepared[key] for key in mine]))
            if len(mine) < len(group):
                at_row = {key: at for at, key in enumerate(mine)}
                encoded = _taken(encoded, [at_row[id(pictures[at])] for at in group])
            texts = [prompts[rows[at]] for at in group]
            parts.append(self.score_encoded(encoded, texts).detach())
            order += [rows[at] for at in group]
        return order, Scores.concatenate(parts)

    def _prepared(self, pictures: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """Model-ready values (1, 3, s, t) of each picture; those of one size travel together."""
        keys = list(pictures)
        found: dict[int, Tensor] = {}
        for group in grouped([(p.shape, p.dtype, p.device) for p in pictures.values()]):
            mine = [keys[at] for at in group]
            values = self.preprocess(moved([pictures[key] for key in mine], self.device))
            found |= dict(zip(mine, values.split(1), strict=True))
        return found

    def _refuse_faults(
        self, sources: Sequence[ImageSource], texts: Sequence[str], alpha: Alpha
    ) -> None:
        for row, text in enumerate(texts):
            if why := prompt_fault(text):
                raise DataError(f"prompt {row}: {why}")
        for row, source in enumerate(sources):
            (picture,) = read_images([source], alpha=alpha)
            if isinstance(picture, ImageError):
                raise DataError(f"picture {row}: {picture}") from picture

    def _empty(self, rows: int = 0, errors: Mapping[int, str] | None = None) -> Scores:
        nothing = torch.full((rows,), math.nan)
        aspects = {a: nothing.clone() for a in self.card.aspects}
        return Scores(nothing, aspects, errors=errors or {}, sizes=((0, 0),) * rows)

    def _scatter(
        self, scores: Scores, good: list[int], rows: int, errors: dict[int, str]
    ) -> Scores:
        def spread(values: Tensor) -> Tensor:
            full = values.new_full((rows, *values.shape[1:]), math.nan)
            full[good] = values
            return full

        for at, (k, value) in enumerate(zip(good, scores.total.tolist(), strict=True)):
            if not math.isfinite(value):
                why = f"non-finite: the reward gave {value} for this picture"
                errors[k] = scores.errors.get(at, why)
        words: list[Sequence[WordLabel]] = [()] * rows if scores.words else []
        for k, picture_words in zip(good, scores.words, strict=False):
            words[k] = picture_words
        return Scores(
            total=spread(scores.total),
            aspects={name: spread(value) for name, value in scores.aspects.items()},
            maps={name: spread(value) for name, value in scores.maps.items()},
            words=tuple(words),
            errors=errors,
            deviations={name: spread(value) for name, value in scores.deviations.items()},
        )


def shrunk(picture: Tensor, fit: Fitting | None) -> Tensor:
    """A picture (3, h, w) as small as `fit` lets it travel to the model."""
    return picture if fit is None else fit.shrink(picture[None])[0]


def _taken(encoded: Tensor | Features, rows: list[int]) -> Tensor | Features:
    index = torch.tensor(rows)
    if isinstance(encoded, Features):
        return encoded.rows(index)
    return encoded[index.to(encoded.device)]


def _size(picture: Tensor) -> tuple[int, int]:
    return int(picture.shape[-2]), int(picture.shape[-1])


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode inside, the mode that was set before outside."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


def check_pixels(pixels: Tensor) -> None:
    """Raise DataError unless pixels are (b, 3, h, w), uint8 or finite float in [0, 1]."""
    if pixels.ndim != 4 or pixels.shape[1] != 3:
        raise DataError(f"pixels must have shape (b, 3, h, w), got {tuple(pixels.shape)}")
    if pixels.dtype == torch.uint8 or pixels.numel() == 0:
        return
    if not pixels.is_floating_point():
        raise DataError(f"pixels must be uint8 or float, got {pixels.dtype}")
    low, high = (bound.item() for bound in pixels.detach().aminmax())
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise DataError(
            f"float pixels must lie in [0, 1], got [{low:.3g}, {high:.3g}]; "
            "divide 8-bit values by 255"
        )


def grouped(keys: Sequence[Hashable]) -> list[list[int]]:
    """The rows of each distinct key, keys in the order in which they first stand."""
    rows: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return list(rows.values())


def saved_name(reward: Reward) -> str:
    """What names a reward in `config.json`: one of `names()`, or "module:Class" of one's own."""
    kind = type(reward)
    is_listed = kind.__module__ == f"beholder.rewards.{reward.card.name}"
    return reward.card.name if is_listed else f"{kind.__module__}:{kind.__qualname__}"


def check_aspect(card: RewardCard, aspect: str) -> str:
    """The aspect; ConfigError if it is neither "total" nor one that the reward scores."""
    known = ("total", *card.aspects)
    if aspect not in known:
        raise ConfigError(f"reward {card.name} has no aspect {aspect!r}; known: {', '.join(known)}")
    return aspect
