"""One encoder of each kind for `timm_text`: feature maps of a picture, token states of a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isqrt
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder._published.weights import check_finite, load_exact, read_state
from beholder.errors import ConfigError, WeightsError
from beholder.rewards._base import take_options
from beholder.rewards._saved_text import SavedText
from beholder.rewards._saved_text import as_bytes as as_bytes
from beholder.rewards._saved_text import as_text as as_text
from beholder.rewards._towers._base import Span
from beholder.rewards._towers._folding import Folded


class ImageEncoder(nn.Module):
    """Feature maps of a timm model, pooled to one grid and laid side by side.

    Without `last` the levels stand alone, and the layers behind the highest are left out.
    """

    def __init__(
        self,
        name: str,
        weights: str | None = None,
        levels: Sequence[int] = (),
        grid: int = 7,
        last: bool = True,
    ) -> None:
        super().__init__()
        if not (levels or last):
            raise ConfigError("the picture encoder needs levels where last is false")
        self.name, self.levels, self.grid, self.last = name, list(levels), grid, last
        self.encoder = _timm_model(name)
        if weights is not None:
            load_in_order(self.encoder, Path(weights))
        self._folded = Folded()
        if last:
            self.encoder.reset_classifier(0)
        else:
            self.encoder.prune_intermediate_layers(self.levels, prune_head=True)

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> ImageEncoder:
        """The encoder that the options describe; ConfigError if that cannot be."""
        known = {"name", "weights", "levels", "grid", "last"}
        given = take_options(options, known, "the picture encoder")
        if "name" not in given:
            raise ConfigError("the picture encoder needs a timm name, such as 'resnet18'")
        return cls(**cast("Any", given))

    def options(self) -> dict[str, object]:
        """JSON-ready options that rebuild this architecture."""
        return {"name": self.name, "levels": self.levels, "grid": self.grid, "last": self.last}

    def width(self, size: int) -> int:
        """Width of a cell, for pictures of `size` pixels a side."""
        was_training = self.training
        with torch.no_grad():
            width = self.eval()(torch.zeros(1, 3, size, size)).shape[-1]
        self.train(was_training)
        return int(width)

    @override
    def forward(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Float[Tensor, "b n w"]:
        pooled = [functional.adaptive_avg_pool2d(m, self.grid) for m in self.maps(pixel_values)]
        return torch.cat(pooled, dim=1).flatten(2).mT

    def maps(self, pixel_values: Float[Tensor, "b 3 s t"]) -> list[Tensor]:
        """The feature maps (b, c, h, w) of the levels, and the last one where it is wanted."""
        encoder = self._folded.of(self.encoder)
        if not self.levels:
            return [self._map(encoder.forward_features(pixel_values))]
        found = encoder.forward_intermediates(
            pixel_values,
            indices=self.levels,
            output_fmt="NCHW",
            intermediates_only=not self.last,
        )
        if not self.last:
            return list(found)
        last, maps = found
        return [*maps, self._map(last)]

    def _map(self, states: Tensor) -> Tensor:
        if states.ndim == 3:
            cells = states[:, getattr(self.encoder, "num_prefix_tokens", 0) :]
            side = isqrt(cells.shape[1])
            return cells.mT.reshape(len(cells), -1, side, side)
        channels_last = getattr(self.encoder, "output_fmt", "NCHW") == "NHWC"
        return states.permute(0, 3, 1, 2) if channels_last else states


class TextEncoder(SavedText, nn.Module):
    """Token states of a transformers encoder; its tokenizer is saved beside its weights.

    Args:
        model: the encoder; the pooler that some have is dropped, as nothing reads it.
        tokenizer: the text of a tokenizer.json; None until `load_state_dict` brings it.
        pad_token: what fills short texts.
        max_length: tokens of a text, specials included.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: str | None = None,
        *,
        pad_token: str = "[PAD]",
        max_length: int = 64,
    ) -> None:
        super().__init__()
        if getattr(model, "pooler", None) is not None:
            cast("Any", model).pooler = None
        self.encoder = cast("Any", model)
        self.width = int(cast("Any", model).config.hidden_size)
        self.max_length, self._pad_token = max_length, pad_token
        self._saved, self.pad_id = "", 0
        self._tokenizer: Any = None
        if tokenizer is not None:
            self._take(tokenizer)

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> TextEncoder:
        """The encoder that the options describe; ConfigError if one is unknown or missing."""
        known = {"folder", "config", "tokenizer", "pad_token", "max_length"}
        given = take_options(options, known, "the text encoder")
        folder = given.pop("folder", None)
        if folder is not None:
            return cls(**_from_folder(Path(str(folder))), **cast("Any", given))
        if "config" not in given:
            raise ConfigError("the text encoder needs a folder, or config and tokenizer")
        config = cast("Mapping[str, object]", given.pop("config"))
        return cls(_random_model(config), **cast("Any", given))

    def options(self) -> dict[str, object]:
        """JSON-ready options that rebuild this architecture, without its tokenizer."""
        passing = {"transformers_version", "_name_or_path", "architectures", "dtype"}
        config = self.encoder.config.to_diff_dict()
        return {
            "config": {key: value for key, value in config.items() if key not in passing},
            "pad_token": self._pad_token,
            "max_length": self.max_length,
        }

    def tokenize(self, texts: Sequence[str]) -> Int[Tensor, "b l"]:
        """Ids, cut or padded to `max_length`."""
        rows = [encoding.ids for encoding in self._ready.encode_batch(list(texts))]
        return torch.tensor(rows, dtype=torch.long).reshape(len(rows), self.max_length)

    def spans(self, text: str) -> list[Span | None]:
        """Where each token comes from; None for specials and padding."""
        encoding = self._ready.encode(text)
        special = encoding.special_tokens_mask
        return [
            None if is_special else (int(span[0]), int(span[1]))
            for span, is_special in zip(encoding.offsets, special, strict=True)
        ]

    @override
    def forward(self, ids: Int[Tensor, "b l"], real: Bool[Tensor, "b l"]) -> Float[Tensor, "b l w"]:
        longest = max(1, int(real.sum(dim=1).max()))  # what lies behind is padding in every row
        states = self.encoder(
            input_ids=ids[:, :longest], attention_mask=real[:, :longest].long()
        ).last_hidden_state
        states = states.masked_fill(~real[:, :longest, None], 0)
        return functional.pad(states, (0, 0, 0, ids.shape[1] - longest))

    @property
    def _ready(self) -> Any:
        if self._tokenizer is None:
            raise ConfigError("the text encoder has no tokenizer; give it the option tokenizer")
        return self._tokenizer

    @override
    def _take(self, text: str) -> None:
        from tokenizers import Tokenizer  # noqa: PLC0415

        tokenizer = Tokenizer.from_str(text)
        pad_id = tokenizer.token_to_id(self._pad_token)
        if pad_id is None:
            raise ConfigError(f"the tokenizer has no token {self._pad_token!r}; name its pad_token")
        tokenizer.enable_truncation(self.max_length)
        tokenizer.enable_padding(length=self.max_length, pad_id=pad_id, pad_token=self._pad_token)
        tokenizer.encode_special_tokens = True  # a special that a prompt spells out is plain text
        self._saved, self._tokenizer, self.pad_id = text, tokenizer, int(pad_id)


def load_in_order(module: nn.Module, path: Path) -> None:
    """Put a weights file into a module: by name or, if the names differ, tensor after tensor.

    The second way serves ports that renamed every layer and kept their order; it needs the same
    number of tensors and the same shapes throughout. Raises WeightsError if neither way fits.
    """
    given = {k: v for k, v in read_state(path).items() if not k.endswith("num_batches_tracked")}
    own = module.state_dict()
    counters = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")}
    names = [k for k in own if k not in counters]
    if given.keys() != set(names):
        shapes = [v.shape for v in given.values()]
        if shapes != [own[name].shape for name in names]:
            raise WeightsError(
                f"{path} holds {len(given)} tensors that fit the model's {len(names)} neither by "
                "name nor by order and shape"
            )
        given = dict(zip(names, given.values(), strict=True))
    load_exact(module, {**counters, **given}, where=str(path))


def _timm_model(name: str) -> Any:
    try:
        import timm  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError("timm_text towers need timm: pip install timm") from error
    if not timm.is_model(name):  # "hf-hub:…" would be fetched from the hub
        raise ConfigError(f"timm has no model {name!r}; timm.list_models() lists them")
    try:
        return timm.create_model(name, pretrained=False)
    except RuntimeError as error:
        raise ConfigError(f"timm has no model {name!r}: {error}") from error


def _from_folder(folder: Path) -> dict[str, Any]:
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        with _without_bars():
            model = AutoModel.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder} holds no text encoder with its tokenizer: {error}") from error
    check_finite(model.state_dict(), str(folder))
    return {
        "model": model,
        "tokenizer": tokenizer.backend_tokenizer.to_str(),
        "pad_token": tokenizer.pad_token,
    }


@contextmanager
def _without_bars() -> Iterator[None]:
    """Inside, transformers draws no progress bars; a small file is read in a blink."""
    from transformers.utils import logging  # noqa: PLC0415

    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()


def _random_model(config: Mapping[str, object]) -> Any:
    from transformers import AutoConfig, AutoModel  # noqa: PLC0415

    rest = dict(config)
    kind = rest.pop("model_type", None)
    try:
        config = AutoConfig.for_model(kind, **rest)
        return AutoModel.from_config(config, trust_remote_code=False)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"transformers cannot build a text encoder of {kind!r}: {error}"
        ) from error
