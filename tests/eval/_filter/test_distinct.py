"""Copies, and pictures and prompts of an evaluation set, are dropped with what they are like."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from beholder.errors import ConfigError, DataError
from beholder.eval._filter.distinct import AGAINST, NEAR, Distinct, Likeness, keep_distinct
from beholder.eval._filter.judging import Judged, judge
from beholder.eval._filter.rule import Rule
from beholder.eval.embedding import Embeddings, write_embeddings
from tests.eval.filtered import HeldRows


def picture(path: Path, seed: int, brighter: int = 0) -> str:
    coarse = np.random.default_rng(seed).integers(0, 200, (6, 6, 3), dtype=np.uint8) + brighter
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(coarse.astype(np.uint8)).resize((48, 48), Image.Resampling.BICUBIC).save(path)
    return str(path)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> HeldRows:
    """Pictures 0, 1, 2, brighter copies of 0 and 1, and one that is gone."""
    folder = tmp_path_factory.mktemp("pictures")
    images = [picture(folder / f"{seed}.png", seed) for seed in range(3)]
    images += [picture(folder / f"{seed}b.png", seed, brighter=9) for seed in range(2)]
    table = pa.table(
        {
            "key": list("abcdef"),
            "image": [*images, str(folder / "gone.png")],
            "prompt": ["a fox", "an  OWL", "a cat", "a dog", "a hen", "a cow"],
            "x": [1.0, 5.0, 3.0, 2.0, 4.0, 6.0],
        }
    )
    return HeldRows(table, 4)


def kept(
    rows: HeldRows, asked: Distinct, score: str = "x", where: str = ""
) -> tuple[Judged, Likeness, Mapping[str, str | None]]:
    judged = judge(rows, Rule(score=score, where=where).asked(rows.columns), rows.columns)
    likeness = keep_distinct(judged, rows, asked)
    decision = judged.decision(rows)
    reasons = {k: decision.reason(n) for n, k in enumerate("abcdef") if decision.codes[n]}
    return judged, likeness, reasons


def test_of_copies_the_best_is_kept(rows: HeldRows) -> None:
    judged, likeness, reasons = kept(rows, Distinct(dedup=0.95))
    assert set(reasons) == {"a", "e", "f"}  # d beats a, b beats e
    assert str(reasons["a"]).startswith("near duplicate of d (")
    assert str(reasons["e"]).startswith("near duplicate of b (")
    assert str(reasons["f"]).startswith("no embedding: missing")
    assert judged.decision(rows).counts() == {"near duplicate": 2, "no embedding": 1}
    assert set(judged.reasons.stages) == {NEAR}
    assert {row: near.of for row, near in likeness.near.items()} == {0: 3, 4: 1}
    assert likeness.protocol == {"embedder": "thumbprint", "dedup": 0.95, "method": "exact"}


def test_without_a_score_the_earlier_copy_is_kept(rows: HeldRows) -> None:
    _, _, reasons = kept(rows, Distinct(dedup=0.95), score="")
    assert set(reasons) == {"d", "e", "f"}


def test_a_row_that_a_condition_dropped_drops_no_other(rows: HeldRows) -> None:
    _, _, reasons = kept(rows, Distinct(dedup=0.95), where="x < 5 and x != 2")
    assert reasons == {
        "b": "not x < 5", "d": "not x != 2", "f": "not x < 5",
    }  # fmt: skip


def test_pictures_and_prompts_of_an_evaluation_set_go(rows: HeldRows, tmp_path: Path) -> None:
    picture(tmp_path / "eval" / "one.png", 1)
    (tmp_path / "eval" / "one.txt").write_text("A  cat")
    _, likeness, reasons = kept(rows, Distinct(against=str(tmp_path / "eval")))
    assert set(reasons) == {"b", "c", "e", "f"}
    assert reasons["b"] == "like one.png of the evaluation set (1.000)"
    assert reasons["c"] == "prompt of the evaluation set"
    assert likeness.protocol == {
        "evaluation_prompts": 1, "embedder": "thumbprint", "against_threshold": 0.95,
        "evaluation_pictures": 1, "against": str(tmp_path / "eval"),
    }  # fmt: skip
    assert {number: key for number, (key, _) in likeness.pictures.items()} == {0: "one.png"}


def test_evaluation_pictures_that_cannot_be_read_are_counted_and_named(
    rows: HeldRows, tmp_path: Path
) -> None:
    folder = tmp_path / "eval"
    picture(folder / "one.png", 1)
    for name in "abcd":
        (folder / f"{name}.png").write_bytes(b"")
    _, likeness, reasons = kept(rows, Distinct(against=str(folder)))
    assert set(reasons) == {"b", "e", "f"}
    assert likeness.protocol["evaluation_pictures"] == 1
    assert likeness.protocol["evaluation_pictures_failed"] == 4
    errors = likeness.protocol["evaluation_errors"]
    assert [text.split(":")[:2] for text in errors] == [[f"{n}.png", " empty"] for n in "abc"]
    assert {number: key for number, (key, _) in likeness.pictures.items()} == {4: "one.png"}
    (folder / "one.png").unlink()
    with pytest.raises(DataError, match=r"no picture of the evaluation set .*a\.png: empty"):
        kept(rows, Distinct(against=str(folder)))


def test_prompts_of_a_file_need_no_embeddings(rows: HeldRows, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("An owl\na COW")
    judged, likeness, reasons = kept(rows, Distinct(against_prompts=str(tmp_path / "prompts.txt")))
    assert set(reasons) == {"b", "f"}
    assert judged.reasons.stages == [AGAINST]
    assert likeness.protocol == {
        "evaluation_prompts": 2, "against_prompts": str(tmp_path / "prompts.txt"),
    }  # fmt: skip


def test_embeddings_of_a_file_are_found_by_key(rows: HeldRows, tmp_path: Path) -> None:
    values = np.eye(4, dtype=np.float32)[[0, 0, 1, 2, 3]]
    known = Embeddings(tuple("facde"), values, name="mine")
    file = write_embeddings(known, tmp_path / "e.npz")
    _, likeness, reasons = kept(rows, Distinct(dedup=0.9, embeddings=str(file)))
    assert likeness.protocol == {
        "embedder": "mine", "embeddings": "e.npz", "dedup": 0.9, "method": "exact",
        "embeddings_sha256": sha256(file.read_bytes()).hexdigest(),
    }  # fmt: skip
    assert reasons == {
        "a": "near duplicate of f (1.000)", "b": "no embedding: not in the file",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="'mine' of the file of embeddings is not known here"):
        picture(tmp_path / "eval" / "one.png", 1)
        kept(
            rows,
            Distinct(embeddings=str(file), against=str(tmp_path / "eval"), against_threshold=0.9),
        )


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"dedup": 0.0}, "dedup is a cosine in"),
        ({"dedup": 1.5}, "got 1.5"),
        ({"embedder": "thumb"}, "known: thumbprint"),
        ({"against_threshold": 0.9}, "needs an evaluation set"),
    ],
)
def test_what_does_not_fit_is_refused(asked: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Distinct(**asked)  # type: ignore[arg-type]


def test_an_evaluation_set_that_is_not_there_is_an_error(rows: HeldRows, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        kept(rows, Distinct(against=str(tmp_path / "nowhere")))


def test_the_embedder_gets_its_weights_and_device(
    rows: HeldRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def embedded(pictures: object, embedder: str, **options: object) -> Embeddings:
        asked.append((embedder, options["weights"], options["device"]))
        return Embeddings(tuple("abcdef"), np.eye(6, dtype=np.float32), name=embedder)

    monkeypatch.setattr("beholder.eval._filter.distinct.embed", embedded)
    kept(
        rows, Distinct(dedup=0.9, embedder="clip", embedder_weights="w.safetensors", device="cuda")
    )
    kept(rows, Distinct(dedup=0.9))
    assert asked == [("clip", "w.safetensors", "cuda"), ("thumbprint", None, "cpu")]
