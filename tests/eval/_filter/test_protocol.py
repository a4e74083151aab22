"""What a filter read is told by name and hash."""

import hashlib
from pathlib import Path

from beholder.eval._filter.protocol import digest, told


def test_a_file_has_its_own_hash_and_its_keys_or_neighbours_change_it(tmp_path: Path) -> None:
    (tmp_path / "e.npy").write_bytes(b"rows")
    alone = digest(tmp_path / "e.npy")
    assert alone == hashlib.sha256(b"rows").hexdigest()
    (tmp_path / "e.keys.txt").write_text("a\n")
    with_keys = digest(tmp_path / "e.npy")
    (tmp_path / "e.keys.txt").write_text("b\n")
    assert len({alone, with_keys, digest(tmp_path / "e.npy")}) == 3
    for name in ("0", "1"):
        (tmp_path / f"{name}.parquet").write_text(name)
    both = hashlib.sha256(b"".join(hashlib.sha256(n).digest() for n in (b"0", b"1")))
    assert digest(tmp_path) == both.hexdigest()


def test_likeness_is_told_in_words() -> None:
    assert told(
        {"dedup": 0.95, "method": "exact", "embeddings_sha256": "ab" * 32,
         "evaluation_errors": ["a: empty: no bytes", "b: cut: short"]}
    ) == {
        "near-duplicate from a cosine of": "0.95",
        "pairs compared": "every pair (exact)",
        "SHA-256 of that file": "abababababab",
        "such as": "a: empty: no bytes; b: cut: short",
    }  # fmt: skip
