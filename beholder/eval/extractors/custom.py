"""Any other network as an extractor: TorchScript, timm, transformers, or a function of one's own.

TorchScript files and functions are programs: naming one here runs it, so take neither from anybody
whom you would not let run code on this machine. The id of the weights is that of all that decides
the features, as far as it can be known: of a folder of transformers with its settings, of a
function with the source of its module and of those of the network's classes.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from beholder._published.weights import (
    check_finite,
    hub_errors,
    load_exact,
    read_state,
    sha256_of,
)
from beholder.errors import ConfigError, DataError, MissingDependencyError, WeightsError
from beholder.eval.extractors._base import Extractor, weights_id
from beholder.eval.extractors._beyond_weights import joint_id, settings_text, source_text
from beholder.eval.extractors._resize import NAMES, check_protocol, resized
from beholder.eval.extractors._torchscript import load_script

Triple = tuple[float, float, float]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_COUNTERS = ".num_batches_tracked"


@dataclass(frozen=True, slots=True)
class Input:
    """What a network sees: a square of `side` pixels, (x / 255 - mean) / std, after a resize."""

    resize: str
    side: int
    mean: Triple
    std: Triple

    @property
    def name(self) -> str:
        """What `Origin.resize` says; all that changes the network's input."""
        mean, std = (",".join(f"{v:.6g}" for v in triple) for triple in (self.mean, self.std))
        return f"{self.resize} to {self.side}, mean {mean}, std {std}"

    def scaled(self, prepared: Tensor) -> Float[Tensor, "b 3 s s"]:
        """Prepared pictures as the network sees them."""
        values = prepared.float() / 255
        mean, std = (values.new_tensor(v)[:, None, None] for v in (self.mean, self.std))
        return (values - mean) / std


@dataclass(frozen=True, slots=True)
class Found:
    """A network, what it and its weights are called, and the input that it asks for if it does.

    Attributes:
        beyond: what decides its features beside the weights, as text; None if it cannot be read.
        absent: weights that its file lacks, all NaN in the network.
    """

    network: nn.Module
    identity: str
    weights: str
    side: int = 224
    mean: Triple = IMAGENET[0]
    std: Triple = IMAGENET[1]
    beyond: str | None = ""
    absent: tuple[str, ...] = ()


class CustomExtractor(Extractor):
    """A network of any kind; its layers are the tensors that it returns.

    A bare tensor is called "features", those of a tuple "0", "1" and so on, those of a dict by
    their keys. Maps (b, c, h, w) become means over all places; tokens (b, n, d) become two layers,
    the first token as "NAME:cls" and the mean of all as "NAME:mean". The first layer is its own
    choice. Outputs that depend on weights which the file lacks are no layers.
    """

    def __init__(self, found: Found, shown: Input) -> None:
        super().__init__()
        self.network = found.network.eval()
        self.identity = found.identity
        self.weights_id = found.weights
        self.input = shown
        self.resize = shown.name
        empty = torch.zeros(2, 3, shown.side, shown.side, dtype=torch.uint8)
        with torch.no_grad():
            rows = self._run(empty)
        if not rows:
            raise DataError(f"{self.identity} returns no tensor of 2 to 4 axes, a row a picture")
        self._layers = {n: r.shape[1] for n, r in rows.items() if not (found.absent and _nan(r))}
        if not self._layers:
            raise WeightsError(
                f"the weights of {self.identity} lack {', '.join(found.absent[:4])}, and all that "
                "it returns depends on them; take the folder of a trained network"
            )

    @property
    @override
    def layers(self) -> Mapping[str, int]:
        return self._layers

    @override
    def prepare(self, picture: Tensor) -> Tensor:
        return resized(picture, self.input.side, self.input.resize)

    @override
    def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        self.check_layers(layers)
        found = self._run(prepared)
        return {name: found[name] for name in layers}

    def _run(self, prepared: Tensor) -> dict[str, Tensor]:
        outputs = self.network(self.input.scaled(prepared))
        return {
            name: rows.float()
            for key, value in _named(outputs).items()
            for name, rows in _rows(key, value)
            if len(rows) == len(prepared)
        }


def build(
    weights: str | Path | None = None,
    model: str = "script",
    side: int | None = None,
    mean: object = None,
    std: object = None,
    resize: str = "clean",
    identity: str = "",
) -> CustomExtractor:
    """The extractor.

    Args:
        weights: a local file: the program for "script"; for timm and functions weights by name
            or, for timm, in the model's order. None keeps what the model comes with.
        model: "script", a TorchScript file; "timm:NAME"; "hf:FOLDER", a folder or repository that
            transformers' AutoModel reads, or "package.module:function", which returns a module.
        side: of the square that the network sees; None is timm's for the model, else 224.
        mean: three numbers, of red, green and blue in [0, 1]; None is timm's for the model, else
            ImageNet's.
        std: likewise. A program that takes values in [0, 255] wants mean 0 and std 1/255.
        resize: any of `beholder.eval.extractors._resize.NAMES`.
        identity: the name under which features are kept apart; "" makes one of the model's. A
            function whose source cannot be read needs one, and another after each change.

    Raises:
        ConfigError: if an option is unknown or out of range.
        WeightsError: if the weights cannot be had or do not fit, or all outputs depend on some
            that are not in the file.
        DataError: if the network returns nothing that could be features.
        MissingDependencyError: if timm or transformers is wanted and not installed.
    """
    check_protocol(resize, NAMES)
    kind, _, name = model.partition(":")
    find = _KINDS.get(kind, _function)
    found = find(model if find is _function else name, None if weights is None else Path(weights))
    shown = Input(
        resize,
        _checked_side(found.side if side is None else side),
        _triple(found.mean if mean is None else mean, "mean"),
        _triple(found.std if std is None else std, "std"),
    )
    if min(shown.std) <= 0:
        raise ConfigError(f"std must be above 0, got {shown.std}")
    return CustomExtractor(_named_apart(found, identity), shown)


def _named_apart(found: Found, identity: str) -> Found:
    """A network under the identity given if any, its weights' id that of all that is known of it.

    Raises ConfigError if something is not known and there is no identity.
    """
    if found.beyond is None and not identity:
        raise ConfigError(
            f"the source of {found.identity} cannot be read, so changes of it would go unseen; "
            "give identity=NAME, another one after each change"
        )
    weights = joint_id(found.weights, found.beyond) if found.beyond else found.weights
    return replace(found, identity=identity or found.identity, weights=weights)


def _script(name: str, path: Path | None) -> Found:
    if path is None or name:
        raise ConfigError("a TorchScript network is given as weights=FILE with model='script'")
    return Found(load_script(path), f"script:{path.stem}", sha256_of(path)[:16])


def _timm(name: str, path: Path | None) -> Found:
    try:
        import timm  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(f"timm:{name} needs timm: pip install timm") from error
    if not timm.is_model(name):
        raise ConfigError(f"timm has no model {name!r}; timm.list_models() lists them")
    with hub_errors(f"cannot fetch timm's weights of {name}", "weights=FILE, a local copy"):
        network = cast("Any", timm.create_model(name, pretrained=path is None))
    if path is not None:
        _load_in_order(network, path)
    config = network.pretrained_cfg
    network.reset_classifier(0)
    side = int(config["input_size"][-1])
    found = weights_id(network.state_dict())
    return Found(network, f"timm:{name}", found, side, config["mean"], config["std"])


def _transformers(name: str, path: Path | None) -> Found:
    if path is not None:
        raise ConfigError(f"hf:{name} has its weights in the folder; leave weights out")
    try:
        from transformers import AutoModel  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError("hf: needs transformers: pip install transformers") from error
    with hub_errors(f"transformers cannot load {name}", "hf:FOLDER, a local copy"):
        whole, report = AutoModel.from_pretrained(
            name, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
        )
    check_finite(whole.state_dict(), name)
    absent = _without_invented(whole, report["missing_keys"])
    network = getattr(whole, "vision_model", whole)  # CLIP and its kin read texts too
    found = weights_id(network.state_dict())
    return Found(
        network, f"hf:{Path(name).name}", found, beyond=settings_text(whole), absent=absent
    )


def _without_invented(network: nn.Module, missing: Iterable[str]) -> tuple[str, ...]:
    """The missing weights by name, NaN from now on.

    transformers draws them at random. NaN reaches each output that depends on one, and no other: a
    mask's token, which features do not need, may be missing.
    """
    state = network.state_dict()
    absent = tuple(sorted(n for n in missing if n in state and state[n].is_floating_point()))
    for name in absent:
        state[name].fill_(math.nan)
    return absent


def _function(model: str, path: Path | None) -> Found:
    where, _, name = model.partition(":")
    if not name:
        raise ConfigError(
            f"unknown model {model!r}; say script, timm:NAME, hf:FOLDER or package.module:function"
        )
    try:
        make = cast("Callable[[], object]", getattr(importlib.import_module(where), name))
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"cannot find {model}: {error}") from error
    network = make()
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{model} returned {type(network).__name__}, expected a torch module")
    if path is not None:
        load_exact(network, read_state(path), ignore=(f"*{_COUNTERS}",), where=str(path))
    source = source_text(make, where, network)
    return Found(network, model, weights_id(network.state_dict()), beyond=source)


_KINDS: dict[str, Callable[[str, Path | None], Found]] = {
    "script": _script,
    "timm": _timm,
    "hf": _transformers,
}


def _load_in_order(network: nn.Module, path: Path) -> None:
    """Load by name or, if all names differ, by order: ports rename layers and keep their order."""
    given = {k: v for k, v in read_state(path).items() if not k.endswith(_COUNTERS)}
    own = [name for name in network.state_dict() if not name.endswith(_COUNTERS)]
    if not given.keys() & set(own) and len(given) == len(own):
        given = dict(zip(own, given.values(), strict=True))
    load_exact(network, given, ignore=(f"*{_COUNTERS}",), where=str(path))


def _named(outputs: object) -> dict[str, Tensor]:
    if isinstance(outputs, Tensor):
        return {"features": outputs}
    listed = enumerate(outputs) if isinstance(outputs, list | tuple) else ()
    pairs = outputs.items() if isinstance(outputs, Mapping) else listed
    return {str(name): value for name, value in pairs if isinstance(value, Tensor)}


def _rows(name: str, value: Tensor) -> Iterator[tuple[str, Float[Tensor, "b d"]]]:
    if value.ndim == 2:
        yield name, value
    elif value.ndim == 3:
        yield f"{name}:cls", value[:, 0]
        yield f"{name}:mean", value.mean(dim=1)
    elif value.ndim == 4:
        yield name, value.mean(dim=(2, 3))


def _checked_side(side: object) -> int:
    if not isinstance(side, int) or side < 1:
        raise ConfigError(f"side must be a whole number of pixels, 1 or more; got {side!r}")
    return side


def _triple(values: object, what: str) -> Triple:
    listed = values if isinstance(values, Sequence) else ()
    numbers = [float(v) for v in listed if isinstance(v, Real) and math.isfinite(v)]
    if len(listed) != 3 or len(numbers) != 3:
        raise ConfigError(f"{what} must be three numbers, of red, green and blue; got {values!r}")
    red, green, blue = numbers
    return red, green, blue


def _nan(rows: Tensor) -> bool:
    return bool(rows.isnan().any())
