"""Reference files: features and statistics of ours, and those that other programs exchange.

| layout | arrays | what it fixes |
|---|---|---|
| pytorch-fid, clean-fid | mu (d,), sigma (d, d) | nothing: neither network nor resize nor count |
| clean-fid (KID) | feats (n, d) | nothing |
| ADM (guided-diffusion) | mu, sigma, mu_s, sigma_s; arr_0 | 2015 Inception with TF1's resize |
| dgm-eval | reps (n, d) | nothing; it names its network in words of its own |
| plain | one matrix (n, d), .npy or .npz | nothing |

sigma is `np.cov`, ddof 1, everywhere. The statistics in ADM's files are of whole sets, while the
pictures beside them (arr_0) are ten thousand of them: their number is unknown.
What a layout does not fix is "unknown" in the origin, so that comparing needs a person's word.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from beholder.errors import ConfigError, DataError
from beholder.eval._array_files import (
    SUFFIXES,
    array_names,
    array_shape,
    read_about,
    read_arrays,
    write_arrays,
)
from beholder.eval._features import Array, Features, checked_matrix
from beholder.eval._origin import UNKNOWN, Origin
from beholder.eval.statistics import KIND as STATISTICS
from beholder.eval.statistics import Statistics, check_moments

LAYOUTS = ("pytorch-fid", "clean-fid", "clean-fid-kid", "adm", "dgm-eval")
Held = Features | Statistics
KIND = "beholder features 1"
"""What a file of features of ours says."""
_MATRICES = {"feats": "clean-fid-kid", "reps": "dgm-eval"}
_NOWHERE = Origin.from_dict({"clips": UNKNOWN})
_ADM = {"extractor": "inception-2015-12-05", "resize": "tf1"}  # of pictures, so without clips
_ADM_LAYERS = {"2048": ("mu", "sigma"), "sfid": ("mu_s", "sigma_s")}


def is_reference(path: Path) -> bool:
    """Whether a file holds features or statistics, by its suffix and the names and axes in it.

    An .npz or .npy of pictures or clips is none, whatever lies beside them, unless its names are
    those of a layout. One that cannot be read counts as a reference, since reading it says what is
    wrong.
    """
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    try:
        names = array_names(path)
        flat = bool(names) and all(len(array_shape(path, name)) <= 2 for name in names)
        return flat or _known(names)
    except DataError:
        return True


def read_reference(path: str | Path) -> dict[str, Held]:
    """What a file holds, by layer; "unknown" where it does not say of which.

    Raises DataError if it is missing, damaged, or holds no features: NaNs, a covariance that is
    none, pictures, or arrays that only unpickling would read.
    """
    path = Path(path)
    kind = read_about(path).get("kind")
    if kind == STATISTICS:
        statistics = Statistics.load(path)
        return {statistics.origin.layer: statistics}
    if kind == KIND:
        features = _own_features(path)
        return {features.origin.layer: features}
    return _foreign(path, array_names(path))


def write_features(features: Features, path: str | Path) -> None:
    """Write features with their origin, keys and labels as .safetensors or .npz, by the suffix.

    Raises DataError if the suffix is neither, or if two rows have one key.
    """
    _check_distinct(features.keys, str(path))
    words = {name: json.dumps(getattr(features, name)) for name in ("keys", "labels")}
    about = {"kind": KIND, **words, **features.origin.as_dict()}
    write_arrays(Path(path), {"values": features.values}, about)


def write_reference(held: Mapping[str, Held], path: str | Path, layout: str) -> None:
    """Write an .npz that another program reads; what it has no place for is lost.

    Args:
        held: by layer, as `read_reference` gives it: "2048" and "sfid" for "adm", else just one.
        path: of the .npz.
        layout: one of `LAYOUTS`; "pytorch-fid" and "clean-fid" are the same two arrays.

    Raises:
        ConfigError: if the layout is unknown or the file no .npz.
        DataError: if layers are missing or too many, or statistics are given for features.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"unknown layout {layout!r}; known are {', '.join(LAYOUTS)}")
    path = Path(path)
    if path.suffix != ".npz":
        raise ConfigError(f"{layout} reads .npz files, not {path.name}")
    write_arrays(path, _adm_arrays(held) if layout == "adm" else _arrays(held, layout), {})


def _known(names: list[str]) -> bool:
    return bool({"mu", "values", "scatter", *_MATRICES} & set(names))


def _own_features(path: Path) -> Features:
    about = read_about(path)
    values = checked_matrix(read_arrays(path, ["values"])["values"], str(path))
    keys, labels = (_words(path, about, name) for name in ("keys", "labels"))
    for name, words in (("keys", keys), ("labels", labels)):
        if len(words) not in {0, len(values)}:
            raise DataError(
                f"{path}: it has {len(values)} rows of features but {len(words)} {name}"
            )
    _check_distinct(keys, str(path))
    return Features(values, Origin.from_dict(about), keys, labels)


def _words(path: Path, about: Mapping[str, object], name: str) -> tuple[str, ...]:
    try:
        words = json.loads(str(about.get(name, "[]")))
    except ValueError as error:
        raise DataError(f"{path}: its {name} are damaged: {error}") from error
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DataError(f"{path}: its {name} are damaged: they must be a list of strings")
    return tuple(words)


def _check_distinct(keys: Sequence[str], what: str) -> None:
    if len(set(keys)) < len(keys):
        key, times = Counter(keys).most_common(1)[0]
        raise DataError(f"{what}: {times} rows have the key {key!r}; every row needs its own")


def _foreign(path: Path, names: list[str]) -> dict[str, Held]:
    if {"mu_s", "sigma_s"} <= set(names):
        return {
            layer: _moments(path, Origin.from_dict({**_ADM, "layer": layer}), *pair)
            for layer, pair in _ADM_LAYERS.items()
        }
    if "mu" in names or "sigma" in names:
        return {UNKNOWN: _moments(path, _NOWHERE, "mu", "sigma")}
    known = [name for name in _MATRICES if name in names]
    if not known and len(names) != 1:
        raise DataError(
            f"{path} holds {', '.join(names[:5]) or 'nothing'}; "
            "expected mu and sigma, or one matrix of features (n, d)"
        )
    name = (known or names)[0]
    return {UNKNOWN: Features(_matrix(path, name), _NOWHERE)}


def _matrix(path: Path, name: str) -> Array:
    shape = array_shape(path, name)
    if len(shape) > 2:
        raise DataError(
            f"{path} holds an array of shape {shape}, which look like pictures or clips; features "
            "are (n, d) and have yet to be computed from them: give it where pictures are read"
        )
    return checked_matrix(read_arrays(path, [name])[name], str(path))


def _moments(path: Path, origin: Origin, mean: str, covariance: str) -> Statistics:
    arrays = read_arrays(path, [mean, covariance])
    if not all(np.issubdtype(array.dtype, np.floating) for array in arrays.values()):
        raise DataError(f"{path}: {mean} and {covariance} must be floats")
    centre, spread = (arrays[name].astype(np.float64) for name in (mean, covariance))
    check_moments(centre, spread, str(path))
    return Statistics.of_covariance(centre, spread, origin)


def _only(held: Mapping[str, Held], layout: str) -> Held:
    if len(held) != 1:
        raise DataError(f"{layout} files hold one layer, got {', '.join(held) or 'none'}")
    return next(iter(held.values()))


def _arrays(held: Mapping[str, Held], layout: str) -> dict[str, Array]:
    one = _only(held, layout)
    for name, of in _MATRICES.items():
        if of == layout and isinstance(one, Features):
            return {name: one.values}
    if layout in _MATRICES.values():
        raise DataError(f"{layout} files hold features, but only statistics are there")
    return _sums(one, "mu", "sigma")


def _adm_arrays(held: Mapping[str, Held]) -> dict[str, Array]:
    if set(held) != set(_ADM_LAYERS):
        raise DataError(f"adm files hold the layers 2048 and sfid, got {', '.join(held)}")
    found: dict[str, Array] = {}
    for layer, names in _ADM_LAYERS.items():
        found |= _sums(held[layer], *names)
    return found


def _sums(held: Held, mean: str, covariance: str) -> dict[str, Array]:
    statistics = Statistics.of(held) if isinstance(held, Features) else held
    return {mean: statistics.mean, covariance: statistics.covariance()}
