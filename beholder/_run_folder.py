"""The folder of a run that scores shard by shard: what lies where, and what proves a shard done.

    scores/<shard>.parquet      one row an input: key, image, prompt, ..., mps.total, ..., mps.error
    scores/_run/run.json        source, rewards and what their numbers depend on
    scores/_run/plan.jsonl      every shard, in the order of the table
    scores/_run/lists/          the rows of those shards that are lists of files or records
    scores/_run/attempts/       how often a shard was begun and not finished
    scores/_run/failed.json     shards that were given up, and why
    scores/_run/ledger/         finished shards, so that a resume need not open each
    scores/_run/planned.json    what the plan is of, and what it looked like

Readers of parquet leave out names that begin with "_", so the folder is one data set to them. A
shard is done if its file is there and its footer names this configuration and this input.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from beholder.errors import DataError
from beholder.storage import Place

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
RUN = "_run"
FOOTER = b"beholder"
HOLDS = "scores"
"""What the footer of a finished shard says it holds."""

Kind = Literal["archive", "parquet", "list"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A unit of work: a whole archive, row groups of a parquet file, or a list of inputs.

    Attributes:
        name: unique in the plan; its scores are `<name>.parquet`.
        kind: how it is read.
        source: address of the archive or parquet file, or of the list under `_run/lists`.
        first, stop: the row groups of a parquet file; 0 and 0 otherwise.
        rows: how many inputs it has, if the plan knows; None otherwise.
        size, mark: of the source when it was planned, see `storage.Stamp`.
        prefix: what stands before the keys of an archive's pictures, if there are several.
        before: rows of the source's earlier shards, where keys count rows.
    """

    name: str
    kind: Kind
    source: str
    first: int = 0
    stop: int = 0
    rows: int | None = None
    size: int = 0
    mark: str = ""
    prefix: str = ""
    before: int = 0


_FIELDS = sorted(field.name for field in fields(Shard) if field.name != "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a folder's scores are of, and what they were computed with.

    Attributes:
        source: what was asked to be scored.
        prompts: where its prompts came from, "" if from the source itself.
        rewards: name of the columns -> what its numbers depend on.
        settings: what else their last bits depend on, such as the device; it may differ.
    """

    source: str
    prompts: str = ""
    rewards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config_hash(self) -> str:
        """SHA-256 of what the numbers depend on, in hexadecimal."""
        text = json.dumps({n: dict(c) for n, c in self.rewards.items()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the files of a run are."""

    place: Place

    def run_file(self) -> Place:
        """What the run is."""
        return self.place / RUN / "run.json"

    def plan_file(self) -> Place:
        """Its shards."""
        return self.place / RUN / "plan.jsonl"

    def failed_file(self) -> Place:
        """Shards that were given up."""
        return self.place / RUN / "failed.json"

    def lists(self) -> Place:
        """The folder of lists."""
        return self.place / RUN / "lists"

    def attempts(self) -> Place:
        """The folder of attempts."""
        return self.place / RUN / "attempts"

    def scores(self, name: str) -> Place:
        """The scores of a shard."""
        return self.place / f"{name}.parquet"

    def is_run(self) -> bool:
        """Whether scores of shards lie here."""
        return self.run_file().exists()

    def run(self) -> Run:
        """What the run is; DataError if it is of another version or not readable."""
        said = _object(self.run_file())
        if said.pop("format", None) != FORMAT:
            raise DataError(f"{self.run_file()} is of another version; write to another folder")
        try:
            return Run(**said)
        except TypeError as error:
            raise DataError(f"{self.run_file()} is damaged: {error}") from error

    def write_run(self, run: Run) -> bool:
        """Say what the run is; False, and nothing changes, if it was said before."""
        text = json.dumps({"format": FORMAT, **asdict(run)}, indent=2, default=str)
        return self.run_file().write_new(text.encode())

    def plan(self) -> Iterator[Shard]:
        """Every shard in order; DataError if there is no plan or it is cut off."""
        with self.plan_file().open() as file:
            for number, line in enumerate(file, 1):
                try:
                    yield Shard(**json.loads(line))
                except (json.JSONDecodeError, TypeError) as error:
                    raise DataError(f"{self.plan_file()}, line {number}: {error}") from error

    def write_plan(self, shards: Iterable[Shard]) -> bool:
        """Write every shard, all at once; False, and nothing changes, if there is a plan."""
        lines = (json.dumps({n: getattr(s, n) for n in ("name", *_FIELDS)}) for s in shards)
        return self.plan_file().write_new("".join(f"{line}\n" for line in lines).encode())


def footer(shard: Shard, run: Run, rows: int, errors: Mapping[str, Mapping[str, int]]) -> bytes:
    """What the file of a finished shard says of itself."""
    said = {
        "format": FORMAT,
        "holds": HOLDS,
        "shard": shard.name,
        "planned": _planned(shard),
        "config_hash": run.config_hash,
        "settings": dict(run.settings),
        "rows": rows,
        "errors": errors,
    }
    return json.dumps(said).encode()


def read_footer(schema: pa.Schema) -> dict[str, Any]:
    """What a parquet file says of itself; empty if it is none of ours."""
    return footer_among(schema.metadata)


def footer_among(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """The same, from the keys and values of a parquet file's end."""
    said: dict[str, Any] = json.loads((metadata or {}).get(FOOTER, b"{}"))
    return said if said.get("format") == FORMAT and said.get("holds") == HOLDS else {}


def is_done(said: Mapping[str, Any], shard: Shard, config_hash: str) -> bool:
    """Whether a footer is of this shard as it is planned now, and of this configuration."""
    return (said.get("shard"), said.get("config_hash")) == (shard.name, config_hash) and (
        said.get("planned") == _planned(shard)
    )


def _planned(shard: Shard) -> list[object]:
    """Everything that decides which rows a shard has, and their keys."""
    return [getattr(shard, name) for name in _FIELDS]


def _object(place: Place) -> dict[str, Any]:
    try:
        said = json.loads(place.read())
    except json.JSONDecodeError as error:
        raise DataError(f"{place} is damaged: {error}") from error
    if not isinstance(said, dict):
        raise DataError(f"{place} is damaged: expected an object")
    return said
