"""Published weights: fetched and checked, read without running code, put in by name."""

from __future__ import annotations

import hashlib
import logging
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from beholder._published.torchfile import read_torch
from beholder.errors import WeightsError

OwnName = Callable[[str], str | None]
"""This package's name of a published key; None for what no part of the model needs."""

_LISTED = 8
_RETRY = re.compile(r"thrown while requesting|^Retrying in ")
EXTRA = "_extra_state"  # what torch appends for a module with `get_extra_state`


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
    with hub_errors(f"cannot fetch {what}", f"{option}=FILE, a local copy"):
        found = hf_hub_download(published.repo, published.file, revision=published.revision)
    path = Path(found)
    check_sha256(path, published.sha256 or _named_sha256(path))
    return path


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Weights by name in a safetensors or torch file, as stored, on the CPU, names untouched.

    A torch file may hold a state dict, a checkpoint around one, or a whole pickled module; see
    `beholder._published.torchfile.read_torch`. The tensors share the mapped file's memory.
    Raises WeightsError if the file is missing, damaged, or holds NaN or infinite weights.
    """
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"there is no weights file {path}, but a folder; name the file in it")
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}")
    state = _read_by_magic(path)
    check_finite(state, str(path))
    return state


def check_finite(state: Mapping[str, Tensor], where: str) -> None:
    """Raise WeightsError naming weights that are NaN or infinite; no file format refuses them."""
    broken = [name for name, value in state.items() if not _is_finite(value)]
    if broken:
        raise WeightsError(f"{where} holds NaN or infinite weights: {_listed(broken)}")


def load_exact(
    module: nn.Module, state: Mapping[str, Tensor], *, ignore: Sequence[str] = (), where: str
) -> None:
    """Copy weights into a module, cast to its dtypes; every name and shape has to fit.

    `ignore` lists names, or patterns such as "*.position_ids", that neither side needs to have;
    `where` names the source in errors. Raises WeightsError, and copies nothing, if weights are
    missing, unexpected or misshapen.
    """
    expected = {k: v for k, v in module.state_dict().items() if not matches(k, ignore)}
    given = {k: v for k, v in state.items() if not matches(k, ignore)}
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


@contextmanager
def hub_errors(failure: str, instead: str = "a local file or folder") -> Iterator[None]:
    from huggingface_hub.constants import is_offline_mode  # noqa: PLC0415
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError  # noqa: PLC0415

    known = (OSError, ValueError, EntryNotFoundError, HfHubHTTPError)
    refusals: tuple[type[Exception], ...] = (*known, *_transport_errors())
    try:
        with _told_once():
            yield
    except refusals as error:
        if is_offline_mode():
            why = "HF_HUB_OFFLINE is set and it is not in the hub's cache"
            raise WeightsError(f"{failure}: {why}; unset it once, or give {instead}") from error
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise WeightsError(f"{failure}: {reason}; see the connection, or give {instead}") from error


@contextmanager
def _told_once() -> Iterator[None]:
    """One line for all retries of the hub's client, which otherwise tells each of them in two."""
    is_first = True

    def heed(record: logging.LogRecord) -> bool:
        nonlocal is_first
        if record.levelno > logging.WARNING or not _RETRY.search(str(record.msg)):
            return True
        was_first, is_first = is_first, False
        record.msg, record.args = "the hub does not answer; trying for half a minute", ()
        return was_first

    client = logging.getLogger("huggingface_hub.utils._http")
    client.addFilter(heed)
    try:
        yield
    finally:
        client.removeFilter(heed)


def _transport_errors() -> list[type[Exception]]:
    """What the hub's client raises where there is no network; it depends on its release."""
    clients = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
    return [client.HTTPError for client in clients]


def check_sha256(path: Path, expected: str | None) -> None:
    if expected is not None and (found := sha256_of(path)) != expected:
        raise WeightsError(
            f"{path} is damaged or was changed: its sha256 is {found}, expected {expected}"
        )


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


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


def _fits(name: str, value: Tensor, expected: Tensor) -> bool:
    return name.endswith(EXTRA) or value.shape == expected.shape


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"


def _named_sha256(path: Path) -> str | None:
    """The sha256 after which the hub's cache names a large file's contents; None for small ones."""
    name = path.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else None
