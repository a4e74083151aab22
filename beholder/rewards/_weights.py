"""Rewards on disk and on the hub: published weights put in, folders saved whole and opened."""

from __future__ import annotations

import inspect
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

import beholder
from beholder._published.repository import may_be_repository
from beholder._published.weights import (
    EXTRA,
    OwnName,
    check_sha256,
    hub_errors,
    load_exact,
    matches,
    read_state,
    renamed,
    sha256_of,
)
from beholder.calibration import FILE as CALIBRATION
from beholder.errors import WeightsError
from beholder.rewards._base import Reward, read_options, saved_name
from beholder.rewards._calibration import save_calibration
from beholder.rewards._folder_options import check_told

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
BESIDE = (CALIBRATION, "evaluation.json", "summary.json", "README.md")
"""What else a reward's folder may hold, and is fetched with it."""


def load_published(
    reward: Reward, path: str | Path, own_name: OwnName, *, computed: Sequence[str] = ()
) -> None:
    """Put a published file's weights into a reward of that architecture.

    `own_name` gives this package's name of a key, None for one that nothing needs; `computed` lists
    names, or patterns, of the reward's own tables that the file may lack.
    Raises WeightsError naming keys that are missing, unexpected, misshapen or double.
    """
    own = {k: v for k, v in reward.state_dict().items() if matches(k, [*computed, f"*{EXTRA}"])}
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


def save_folder(reward: Reward, folder: str | Path) -> None:
    """Write `config.json` and `model.safetensors`, each replaced whole and flushed to the disk.

    Then `calibration.json`, if the reward has one that belongs to these weights; one that lies
    there already is kept if it does.

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
        text = json.dumps(_config(reward, sha256_of(_partial(weights))), indent=2)
        _partial(config).write_text(f"{text}\n", encoding="utf-8")
        for path in (weights, config):
            _flush(_partial(path))
        for path in (weights, config):
            _partial(path).replace(path)
        save_calibration(reward, folder)
        _flush(folder)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot save the reward to {folder}: {error}") from error


def load_folder(cls: type[Reward], folder: str | Path, overrides: Mapping[str, object]) -> Reward:
    """The reward that `save_folder` wrote to a folder or hub repository, in eval mode.

    An abstract `cls` is replaced by the class that the folder names, one of `beholder.names()`: a
    folder never chooses code to import. `overrides` replace saved options. Its calibration is not
    read yet: whether that is of this reward depends on the precision it will be cast to.
    Raises WeightsError if the folder is none of a reward, is damaged or does not fit.
    """
    root = _local(folder)
    name, options = _read_config(root)
    kind = _class_named(name, root) if inspect.isabstract(cls) else cls
    # not `unfilled`: transformers ties weights where it fills them
    reward = kind.from_options(options | dict(overrides))
    load_exact(reward, read_state(root / WEIGHTS), where=str(root / WEIGHTS))
    reward.folder = root
    return reward.eval()


def push(reward: Reward, repo: str, *, private: bool) -> str:
    """Upload what `save_folder` writes to the hub as "user/repo"; gives the repository's address.

    A generated card goes with it, and what the folder that the reward was loaded from knows of
    these weights: evaluation.json, summary.json, config.yaml and the like, without local paths.
    Raises WeightsError if the hub refuses or cannot be reached, DataError if a record is damaged.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415

    from beholder.rewards._calibration import owner_of  # noqa: PLC0415
    from beholder.rewards._parcel import pack  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        save_folder(reward, folder)
        with hub_errors(f"cannot push to {repo}"):
            address = HfApi().create_repo(repo, private=private, exist_ok=True)
        pack(Path(folder), reward.folder, address.repo_id, owner_of(reward).weights)
        with hub_errors(f"cannot push to {repo}"):
            HfApi().upload_folder(repo_id=address.repo_id, folder_path=folder)
    return str(address)


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
        check_told(options, config)
        check_sha256(root / WEIGHTS, sha256)
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
    if not may_be_repository(str(folder)):
        raise WeightsError(f"there is no reward folder {str(folder)!r}")
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    with hub_errors(f"no folder {str(folder)!r}, nor can it be fetched"):
        return Path(snapshot_download(str(folder), allow_patterns=[CONFIG, WEIGHTS, *BESIDE]))


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
