"""Score tables with given numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from beholder.tables import ScoreTable

Numbers = Mapping[str, Sequence[float | None]]


def make_table(
    folder: Path, rows: Sequence[Mapping[str, object]], scores: Mapping[str, Numbers]
) -> ScoreTable:
    """Reward -> score -> one number a row; None is a row that the reward could not read."""
    table = ScoreTable(folder / "scores")
    keys = [row["key"] for row in rows]
    with table.writing() as writer:
        writer.add_inputs(rows)
        for reward, numbers in scores.items():
            writer.claim(reward, {"reward": reward, "weights": f"weights of {reward}"})
            missing = [value is None for value in numbers["total"]]
            columns: dict[str, Sequence[object]] = {
                "key": keys,
                **{
                    f"{reward}.{name}": [None if v is None else float(v) for v in values]
                    for name, values in numbers.items()
                },
                f"{reward}.error": ["truncated: it ends early" if m else None for m in missing],
            }
            writer.add_scores(reward, columns)
    return table
