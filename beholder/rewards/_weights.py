"""Weights on disk and on the hub: fetched and checked, read without running code, saved whole."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import beholder
from beholder.errors import WeightsError
from beholder.rewards._base import Reward, read_options, saved_name
from beholder.rewards._torchfile import read_torch

CONFIG = "config.json"
WEIGHTS = "model.safetensors"

OwnName = Callable[[str], str | None]
"""This package's name of a published key; None for what no part of the reward needs."""

_LISTED = 8
_EXTRA = "_extra_state"  # what torch appends for a module with `get_extra_state`


@dataclass(frozen=True, slots=True)
class Published:
    """A file on the hub.

    Attributes:
        revision: a commit hash; a branch may change under the same name.
        sha256: of the file; None if it is not known: then what the hub said of it is checked.
    """

    repo: str
    file: str
    revision: str
    sha256: str | None = None


def fetch(published: Published, option: str = "weights") -> Path:
    """Where a published file lies in the hub's cache, downloaded there if it was not.

    With HF_HUB_OFFLINE set only the cache is looked at. `option` names, for errors, what a user
    sets to give a local file instead.
    Raises WeightsError if the file cannot be had or its sha256 differs.
    """
    from huggingface_hub import hf_hub_download  # noqa: PLC0415

    what = f"{published.repo}/{published.file} ({published.revision[:12]})"
    with _hub_errors(f"cannot fetch {what}", f"{option}=FILE, a local copy"):
        found = hf_hub_download(published.repo, published.file, revision=published.revision)
    path = Path(found)
    _check_sha256(path, published.sha256 or _named_sha256(path))
    return path


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Weights by name in a safetensors or torch file, as stored, on the CPU, names untouched.

    A torch file may hold a state dict, a checkpoint around one, or a whole pickled module; see
    `beholder.rewards._torchfile.read_torch`. The tensors share the mapped file's memory.
    Raises WeightsError if the file is missing, damaged, or holds NaN or infinite weights.
    """
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"there is no weights file {path}, but a folder; name the file in it")
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}")
    state = _read_by_magic(path)
    broken = [name for name, value in state.items() if not _is_finite(value)]
    if broken:
        raise WeightsError(f"{path} holds NaN or infinite weights: {_listed(broken)}")
    return state


def load_exact(
    module: nn.Module, state: Mapping[str, Tensor], *, ignore: Sequence[str] = (), where: str
) -> None:
    """Copy weights into a module, cast to its dtypes; every name and shape has to fit.

    `ignore` lists names, or patterns such as "*.position_ids", that neither side needs to have;
    `where` names the source in errors. Raises WeightsError, and copies nothing, if weights are
    missing, unexpected or misshapen.
    """
    expected = {k: v for k, v in module.state_dict().items() if not _matches(k, ignore)}
    given = {k: v for k, v in state.items() if not _matches(k, ignore)}
    faults = {
        "missing": [name for name in expected if name not in given],
        "unexpected": [name for name in given if name not in expected],
        "misshapen": [
            f"{name} {tuple(value.shape)} instead of {tuple(expected[name].shape)}"
            for name, value in given.items()
            if name in expected and not _fits(name, value, expected[name])
        ],
    }
    found = [f"{len(names)} {kind}: {_listed(names)}" for kind, names in faults.items() if names]
    if found:
        raise WeightsError(f"{where} does not fit {type(module).__name__}: {'; '.join(found)}")
    module.load_state_dict(given, strict=False)


def load_published(
    reward: Reward, path: str | Path, own_name: OwnName, *, computed: Sequence[str] = ()
) -> None:
    """Put a published file's weights into a reward of that architecture.

    `own_name` gives this package's name of a key, None for one that nothing needs; `computed` lists
    names, or patterns, of the reward's own tables that the file may lack.
    Raises WeightsError naming keys that are missing, unexpected, misshapen or double.
    """
    own = {k: v for k, v in reward.state_dict().items() if _matches(k, [*computed, f"*{_EXTRA}"])}
    state = read_state(path)
    try:
        load_exact(reward, {**own, **renamed(state, own_name)}, where=str(path))
    except WeightsError as error:
        from beholder.rewards._convert import recognising  # noqa: PLC0415  (it imports this module)

        others = [name for name in recognising(state) if name != reward.card.name]
        if not others:
            raise
        known = " or ".join(others)
        raise WeightsError(f"{path} is a file of {known}, not of {reward.card.name}") from error


@contextmanager
def unfilled(*, when: bool = True) -> Iterator[None]:
    """Inside, new modules hold no random numbers, which take half a minute at a billion weights.

    For an architecture into which `load_exact` puts every weight, and of which transformers ties
    none: it ties where it fills. With `when=False` nothing is changed.
    """
    from transformers.initialization import no_init_weights  # noqa: PLC0415

    with no_init_weights() if when else nullcontext():
        yield


def renamed(state: Mapping[str, Tensor], own_name: OwnName) -> dict[str, Tensor]:
    """Weights under this package's names; WeightsError if two keys become one."""
    found: dict[str, Tensor] = {}
    for key, value in state.items():
        name = own_name(key)
        if name in found:
            raise WeightsError(f"two keys of the weights mean {name}; one of them is {key}")
        if name is not None:
            found[name] = value
    return found


def save_folder(reward: Reward, folder: str | Path) -> None:
    """Write `config.json` and `model.safetensors`, each replaced whole and flushed to the disk.

    Weights go first and the config holds their sha256: a save that is cut short leaves the old
    reward or a folder that `load_folder` refuses, never a mixture of two. What a module keeps
    beside its weights, such as a tokenizer, travels with them if it gives the bytes as a uint8
    tensor from torch's `get_extra_state` and takes them back in `set_extra_state`.

    Raises WeightsError if the folder cannot be written.
    """
    folder = Path(folder)
    config, weights = folder / CONFIG, folder / WEIGHTS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(_unshared(reward.state_dict()), _partial(weights), metadata={"format": "pt"})
        text = json.dumps(_config(reward, _sha256(_partial(weights))), indent=2)
        _partial(config).write_text(f"{text}\n", encoding="utf-8")
        for path in (weights, config):
            _flush(_partial(path))
        for path in (weights, config):
            _partial(path).replace(path)
        _flush(folder)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot save the reward to {folder}: {error}") from error


def load_folder(cls: type[Reward], folder: str | Path, overrides: Mapping[str, object]) -> Reward:
    """The reward that `save_folder` wrote to a folder or hub repository, in eval mode.

    An abstract `cls` is replaced by the class that the folder names, one of `beholder.names()`: a
    folder never chooses code to import. `overrides` replace saved options.
    Raises WeightsError if the folder is none of a reward, is damaged or does not fit.
    """
    root = _local(folder)
    name, options = _read_config(root)
    kind = _class_named(name, root) if inspect.isabstract(cls) else cls
    # not `unfilled`: transformers ties weights where it fills them
    reward = kind.from_options(options | dict(overrides))
    load_exact(reward, read_state(root / WEIGHTS), where=str(root / WEIGHTS))
    return reward.eval()


def push(reward: Reward, repo: str, *, private: bool) -> str:
    """Upload what `save_folder` writes to the hub as "user/repo"; gives the repository's address.

    Raises WeightsError if the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        save_folder(reward, folder)
        with _hub_errors(f"cannot push to {repo}"):
            address = HfApi().create_repo(repo, private=private, exist_ok=True)
            HfApi().upload_folder(repo_id=address.repo_id, folder_path=folder)
    return str(address)


def _read_by_magic(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            head = file.read(64)
        if head[8:9] == b"{":
            return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not an intact safetensors file: {error}") from error
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return read_torch(path)
    raise WeightsError(f"{path} is neither a safetensors nor a torch file; {_hint(head)}")


def _hint(head: bytes) -> str:
    if not head:
        return "it is empty"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer: fetch the file itself"
    if head.lstrip().startswith(b"<"):
        return "it looks like a web page: the download did not reach the file"
    return "save it with safetensors or torch.save"


def _is_finite(value: Tensor) -> bool:
    if not value.is_floating_point() or value.numel() == 0:
        return True
    # Both bounds pass on a NaN, and unlike isfinite they allocate nothing: 50 times faster.
    return all(math.isfinite(bound.item()) for bound in value.aminmax())


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _fits(name: str, value: Tensor, expected: Tensor) -> bool:
    return name.endswith(_EXTRA) or value.shape == expected.shape


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"


def _unshared(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # A safetensors file has no ties; each name gets its own copy, which load to equal weights.
    seen: set[int] = set()
    plain = {}
    for name, tensor in state.items():
        value = tensor.detach().cpu().contiguous()
        memory = value.untyped_storage().data_ptr()
        plain[name] = value.clone() if memory in seen else value
        seen.add(memory)
    return plain


def _config(reward: Reward, sha256: str) -> dict[str, object]:
    return {
        "beholder": beholder.__version__,
        "reward": saved_name(reward),
        "options": reward.options(),
        "sha256": sha256,
    }


def _read_config(root: Path) -> tuple[str, dict[str, object]]:
    """Name and options of a saved reward, after its weights were checked to be those saved."""
    config = root / CONFIG
    try:
        saved = read_options(config.read_text(encoding="utf-8"), config)
        options, sha256 = saved.get("options"), saved.get("sha256")
        if not isinstance(options, dict) or not isinstance(sha256, str):
            raise WeightsError(f"{config} lacks the options or the sha256 of a saved reward")
        _check_sha256(root / WEIGHTS, sha256)
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{root} does not hold a whole saved reward: {error}") from error
    return str(saved["reward"]), options


def _class_named(name: str, root: Path) -> type[Reward]:
    if ":" in name:
        kind = name.rpartition(":")[2]
        raise WeightsError(
            f"{root} holds a {name}, and a folder does not choose code to import; "
            f"call {kind}.from_pretrained({str(root)!r}) instead"
        )
    if name not in beholder.names():
        raise WeightsError(f"{root} holds an unknown reward {name!r}; it may need a newer beholder")
    return beholder.rewards.reward_class(name)


def _local(folder: str | Path) -> Path:
    if Path(folder).is_dir():
        return Path(folder)
    if str(folder).count("/") != 1 or Path(folder).exists():
        raise WeightsError(f"there is no reward folder {str(folder)!r}")
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    with _hub_errors(f"no folder {str(folder)!r}, nor can it be fetched"):
        return Path(snapshot_download(str(folder), allow_patterns=[CONFIG, WEIGHTS]))


@contextmanager
def _hub_errors(failure: str, instead: str = "a local file or folder") -> Iterator[None]:
    from huggingface_hub.constants import is_offline_mode  # noqa: PLC0415
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError  # noqa: PLC0415

    try:
        yield
    except (OSError, ValueError, EntryNotFoundError, HfHubHTTPError) as error:
        if is_offline_mode():
            why = "HF_HUB_OFFLINE is set and it is not in the hub's cache"
            raise WeightsError(f"{failure}: {why}; unset it once, or give {instead}") from error
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise WeightsError(f"{failure}: {reason}; see the connection, or give {instead}") from error


def _check_sha256(path: Path, expected: str | None) -> None:
    if expected is not None and (found := _sha256(path)) != expected:
        raise WeightsError(
            f"{path} is damaged or was changed: its sha256 is {found}, expected {expected}"
        )


def _named_sha256(path: Path) -> str | None:
    """The sha256 after which the hub's cache names a large file's contents; None for small ones."""
    name = path.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
