"""Rows of videos: from folders, manifests and arrays of several videos."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from beholder._inputs.prompt_files import PromptOf, prompts_for
from beholder._inputs.records import ALIASES, MANIFESTS, Records, column_of, manifest_records
from beholder._pixels import Array
from beholder._videos.frame_folders import natural
from beholder._videos.video_files import load_array
from beholder.errors import DataError, VideoError
from beholder.inputs import Inputs, Row, is_picture

SUFFIX = re.compile(r"\.(mp4|m4v|webm|mkv|mov|avi|gif|npy|npz)", re.I)
"""Files that are rows even if they cannot be read."""
COLUMNS = ("video", "video_path", "clip", *ALIASES["image"])
"""What a manifest may call its column of videos."""
LABELS = ("label", "class", "class_name", "category")
"""What a manifest may call its column of classes."""


def read_video_rows(
    source: str | os.PathLike[str], prompts: str | os.PathLike[str] | None = None
) -> Inputs:
    """The videos of a source, with prompts and labels where it has them; `image` of a row is it.

    Args:
        source: a folder, recursively: every video file, readable or not, and every folder that
            holds pictures but no videos, which are its frames; a glob of such; a manifest `.csv`,
            `.tsv`, `.jsonl` or `.parquet`, whose columns `COLUMNS` and `LABELS` list, with paths
            relative to it; a `.npy` or `.npz` of several videos (n, t, h, w, 3); or one video. A
            `.txt` of the same name is the prompt of a video, and the folder it lies in, inside the
            source, its `extra["label"]`.
        prompts: for videos that bring none, as `beholder.inputs.read_inputs` takes them.

    Raises:
        DataError: if there is no video, or the manifest or prompts are malformed.
    """
    path = Path(source)
    if path.is_dir():
        return _files(lambda: _walk(path), path, prompts)
    if not path.exists() and glob.has_magic(str(source)):
        return _files(lambda: _matches(str(source)), _fixed(str(source)), prompts)
    if not path.exists():
        raise DataError(f"{path} does not exist; give a folder, video, glob or manifest")
    several = _several(path)
    if several is None:
        return _files(lambda: iter([path]), path.parent, prompts)
    if prompts is not None:
        raise DataError(f"prompts come from {path} itself; leave {os.fspath(prompts)} out")
    return several


def _several(path: Path) -> Inputs | None:
    """The rows of a manifest, or of an array of several videos; None if it is neither."""
    if path.suffix.lower() in MANIFESTS:
        return _manifest(manifest_records(path), path.parent, path.name)
    if path.suffix.lower() not in {".npy", ".npz"}:
        return None
    videos = _array_of_several(path)
    return None if videos is None else _array_rows(path, videos)


def _fixed(pattern: str) -> Path:
    """The folder before the first wildcard."""
    before = pattern[: min(pattern.index(c) for c in "*?[" if c in pattern)]
    return Path(os.path.dirname(before) or ".")  # noqa: PTH120  (Path drops a trailing slash)


def _matches(pattern: str) -> Iterator[Path]:
    found = map(Path, sorted(glob.iglob(pattern, recursive=True), key=natural))  # noqa: PTH207
    return (path for path in found if _is_video(path) or _has_frames(path))


def _has_frames(path: Path) -> bool:
    return path.is_dir() and any(map(is_picture, path.iterdir()))


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted((n for n in folders if not n.startswith(".")), key=natural)
        paths = [Path(folder, name) for name in sorted(files, key=natural)]
        videos = [path for path in paths if _is_video(path)]
        if not videos and any(map(is_picture, paths)):
            yield Path(folder)
        yield from videos


def _is_video(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return not path.is_dir() and (SUFFIX.fullmatch(path.suffix) is not None or _is_animated(path))


def _is_animated(path: Path) -> bool:
    """Whether a WebP or PNG says in its first blocks that it has several frames."""
    if path.suffix.lower() not in {".webp", ".png", ".apng"} or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(4096)
    if head[:4] == b"RIFF":
        return head[12:16] == b"VP8X" and bool(head[20] & 2)
    return b"acTL" in head.partition(b"IDAT")[0]


def _files(
    found: Callable[[], Iterator[Path]], root: Path, prompts: str | os.PathLike[str] | None
) -> Inputs:
    if next(found(), None) is None:
        raise DataError(f"there is no video and no folder of frames in {root}")

    def count() -> int:
        return sum(1 for _ in found())

    prompt_of = prompts_for(prompts, count)

    def rows() -> Iterator[Row]:
        return (_file_row(number, path, root, prompt_of) for number, path in enumerate(found()))

    has_prompts = prompts is not None or next(rows()).prompt is not None
    return Inputs(str(root), has_prompts, rows, count)


def _file_row(number: int, path: Path, root: Path, prompt_of: PromptOf) -> Row:
    key = os.path.relpath(path, root).replace(os.sep, "/")
    name = os.path.abspath(path)  # noqa: PTH100  (resolve() would follow links)
    label = key.split("/")[-2:-1]
    return Row(
        key=key,
        image=name,
        prompt=prompt_of(number, key, path),
        name=name,
        extra={"label": label[0]} if label else {},
    )


def _array_of_several(path: Path) -> Array | None:
    try:
        values = load_array(path)
    except (VideoError, MemoryError):  # said in the row of the one video
        return None
    return values if values.ndim == 5 else None


def _array_rows(path: Path, videos: Array) -> Inputs:
    def rows() -> Iterator[Row]:
        for number, video in enumerate(videos):
            name = f"{path.name}#{number}"
            yield Row(key=name, image=video, prompt=None, name=name)

    return Inputs(path.name, has_prompts=False, rows=rows, count=lambda: len(videos))


@dataclass(frozen=True, slots=True)
class _Columns:
    """What a manifest calls its columns; None where it has no such."""

    video: str
    prompt: str | None
    key: str | None
    label: str | None


def _manifest(records: Records, root: Path, name: str) -> Inputs:
    video, label = (_column(names, records.columns) for names in (COLUMNS, LABELS))
    prompt, key = (column_of(kind, records.columns) for kind in ("prompt", "key"))
    if video is None:
        raise DataError(
            f"{name} has no video column; it has {', '.join(records.columns)}, "
            f"expected one of {', '.join(COLUMNS)}"
        )
    columns = _Columns(video, prompt, key, label)

    def rows() -> Iterator[Row]:
        seen: Counter[str] = Counter()
        for number, record in enumerate(records.read()):
            row = _manifest_row(record, columns, root, f"{name}#{number}")
            seen[row.key] += 1
            yield row if seen[row.key] == 1 else replace(row, key=f"{row.key}#{seen[row.key]}")

    return Inputs(name, prompt is not None, rows, records.count)


def _manifest_row(record: Mapping[str, Any], columns: _Columns, root: Path, place: str) -> Row:
    given, prompt, key, label = (
        _text(record.get(column or ""))
        for column in (columns.video, columns.prompt, columns.key, columns.label)
    )
    path = None if given is None else os.path.abspath(root / given)  # noqa: PTH100  (links kept)
    used = {columns.video, columns.prompt, columns.key, columns.label}
    extra = {name: value for name, value in record.items() if name not in used}
    return Row(
        key=key or given or place,
        image=path,
        prompt=prompt,
        name=path or place,
        extra=extra if label is None else {**extra, "label": label},
    )


def _text(value: object) -> str | None:
    """A cell as text; None of an empty one, and of a list or the like."""
    return str(value) if isinstance(value, str | int | float) and value != "" else None


def _column(names: Sequence[str], columns: Sequence[str]) -> str | None:
    given = {column.lower(): column for column in columns}
    return next((given[name] for name in names if name in given), None)
