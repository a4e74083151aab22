"""Any network by its name, and what it is run on: for the verbs that take more than rewards."""

from __future__ import annotations

import importlib
import inspect
import json
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from beholder._published.repository import may_be_repository
from beholder.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from beholder.training.pipeline import Driver

TIMM, TRANSFORMERS = "timm:", "hf:"
TINY_PIPELINE = "tiny"
KINDS = (
    'a reward, "module:Class", "timm:NAME", "hf:REPO" or a folder of transformers, a torchscript '
    'file, or a diffusers pipeline: a folder, a hub repository or "tiny"'
)
_DTYPES = {"float16", "bfloat16", "float32", "float64", "uint8", "int32", "int64", "bool"}


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a network is to be given: a name if by keyword, a shape, and a type if it is fixed."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype | None

    def tensor(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Numbers in [0, 1), always the same; ones where the type is whole, as they index."""
        kind = self.dtype or dtype
        if not kind.is_floating_point or device.type == "meta":
            return torch.ones(self.shape, dtype=kind, device=device)
        generator = torch.Generator().manual_seed(0)
        return torch.rand(self.shape, generator=generator).to(device, kind)


def input_spec(text: str, batch_size: int | None = None) -> InputSpec:
    """What "[NAME=]1,3,512,512[:int64]" says, its first size replaced by the batch size if given.

    Raises ConfigError if it says something else.
    """
    name, sign, rest = text.rpartition("=")
    sizes, _, kind = rest.partition(":")
    try:
        shape = tuple(int(size) for size in sizes.split(","))
    except ValueError:
        shape = (0,)
    if min(shape) < 1 or (kind and kind not in _DTYPES) or (sign and not name.isidentifier()):
        raise ConfigError(
            f"--input takes [NAME=]SIZES[:TYPE], such as 1,3,512,512 or input_ids=1,77:int64, "
            f"with a type of {', '.join(sorted(_DTYPES))}; got {text!r}"
        )
    if batch_size is not None:
        shape = (batch_size, *shape[1:])
    return InputSpec(name, shape, getattr(torch, kind) if kind else None)


def input_tensors(
    specs: Sequence[InputSpec], device: torch.device, dtype: torch.dtype
) -> list[Tensor] | dict[str, Tensor]:
    """The tensors, by name if they have names. Raises ConfigError if only some of them have."""
    tensors = [spec.tensor(device, dtype) for spec in specs]
    names = [spec.name for spec in specs]
    if not any(names):
        return tensors
    if len(set(names) - {""}) < len(names):
        raise ConfigError("name every --input once, or none of them")
    return dict(zip(names, tensors, strict=True))


def find_network(
    name: str, options: Mapping[str, Any], device: torch.device, dtype: torch.dtype
) -> nn.Module | Driver:
    """The network of that name, in eval mode on its device.

    Weights are random where they decide no figure: of timm, of transformers, and of rewards whose
    `build` takes a `config`, unless the options name weights.

    Args:
        name: one of `KINDS`; what names a pipeline gives its driver.
        options: of whatever builds it.
        device: where it goes; a network that is built on "meta" takes no memory.
        dtype: of its floating-point weights.

    Raises:
        ConfigError: if there is no such network.
        MissingDependencyError: if it needs a package that is absent.
        WeightsError: if its files cannot be had.
    """
    from beholder.rewards import Reward  # noqa: PLC0415

    if _is_pipeline(name):
        return _pipeline(name, options, device, dtype)
    if _is_reward(name):
        return _reward(name, options, device, dtype)
    with device if device.type == "meta" else nullcontext():
        found = _built(name, options)
    if hasattr(found, "components"):
        return _pipeline(found, {}, device, dtype)
    if isinstance(found, Reward):
        return found.cast(dtype).to(_computing(device, name)).eval()
    if not isinstance(found, nn.Module):
        raise ConfigError(f"{name!r} gave a {type(found).__name__}, expected a torch module")
    if isinstance(found, TorchScript):
        device = _computing(device, name)
    return found.to(device=device, dtype=dtype).eval()


def _computing(device: torch.device, name: object) -> torch.device:
    """The device; ConfigError if it is one on which nothing is computed."""
    if device.type == "meta":
        raise ConfigError(f"{name} reads values as it runs, which meta has not; use cpu or cuda")
    return device


def _is_pipeline(name: str) -> bool:
    if name == TINY_PIPELINE or (Path(name) / "model_index.json").is_file():
        return True
    return ":" not in name and may_be_repository(name)


def _is_reward(name: str) -> bool:
    from beholder.rewards import names  # noqa: PLC0415

    return name in names() or "reward" in _config(name)


def _config(folder: str) -> dict[str, Any]:
    try:
        found = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _pipeline(
    pipeline: Any, options: Mapping[str, Any], device: torch.device, dtype: torch.dtype
) -> Driver:
    from beholder.training._pipeline.loading import load_pipeline  # noqa: PLC0415

    place = _computing(device, "a pipeline")
    return load_pipeline(pipeline, options, place, dtype, keep_scheduler=True)


def _reward(
    name: str, options: Mapping[str, Any], device: torch.device, dtype: torch.dtype
) -> nn.Module:
    from beholder.rewards import load, names  # noqa: PLC0415

    given = dict(options)
    if name in names() and "weights" not in given:
        build = importlib.import_module(f"beholder.rewards.{name}").build
        if "config" in inspect.signature(build).parameters:
            given.setdefault("config", {})
    return load(name, device=_computing(device, name), dtype=dtype, **given)


def _built(name: str, options: Mapping[str, Any]) -> object:
    if name.startswith(TIMM):
        return _timm(name.removeprefix(TIMM), options)
    if name.startswith(TRANSFORMERS) or "model_type" in _config(name):
        return _transformers(name.removeprefix(TRANSFORMERS), options)
    if Path(name).is_file():
        return _torchscript(Path(name))
    if ":" in name:
        return _own(name, options)
    raise ConfigError(f"no network named {name!r}; give {KINDS}")


def _timm(name: str, options: Mapping[str, Any]) -> object:
    try:
        import timm  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError("timm: needs the package timm: pip install timm") from error
    try:
        return timm.create_model(name, pretrained=False, **options)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"timm makes no model of {name!r}: {error}") from error


def _transformers(where: str, options: Mapping[str, Any]) -> object:
    import transformers  # noqa: PLC0415

    from beholder._published.weights import hub_errors  # noqa: PLC0415

    given = {"trust_remote_code": False, **options}
    with hub_errors(f"cannot read the config of {where!r}", "a folder that holds config.json"):
        config, unknown = transformers.AutoConfig.from_pretrained(
            where, return_unused_kwargs=True, **given
        )
    if unknown:
        raise ConfigError(f"the config of {where!r} has no {', '.join(sorted(unknown))}")
    named = next(iter(config.architectures or ()), "")
    kind = getattr(transformers, named, None)
    if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel):
        return kind(config)
    return transformers.AutoModel.from_config(config, trust_remote_code=False)


class TorchScript(nn.Module):
    """A program of torchscript, which takes no hooks itself."""

    def __init__(self, script: nn.Module) -> None:
        super().__init__()
        self.script = script

    @override
    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.script(*inputs, **named)


def _torchscript(path: Path) -> object:
    from beholder.eval.extractors._torchscript import load_script  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (FutureWarning, DeprecationWarning))  # of the format
        script = load_script(path)
    if not any(True for _ in script.parameters()):
        raise ConfigError(
            f"{path} was frozen: its weights are constants of the program and its kernels may be "
            "hidden, so they cannot be counted; save it without torch.jit.freeze"
        )
    return TorchScript(script)


def _own(name: str, options: Mapping[str, Any]) -> object:
    module, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"cannot load {name!r}: {error}; write it as module:Class") from error
    try:
        return factory(**options)
    except TypeError as error:
        raise ConfigError(f"cannot build {name!r}: {error}; --set gives it options") from error
