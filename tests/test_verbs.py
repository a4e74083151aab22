"""Every verb as a user calls it: real files in, tables and pages out, exit codes."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beholder.tables import ScoreTable
from tests.archives import write_zip
from tests.odd_pictures import write_odd_pictures
from tests.shell import Shell

EXPORT = Path(__file__).parent / "data/label_studio/export_pairwise.json"


def write_pictures(folder: Path, names: Sequence[str], seed: int = 0) -> None:
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        pixels = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """A manifest of three checkpoints, eight prompts each."""
    write_pictures(tmp_path / "p", [f"{m}-{k}.png" for m in "abc" for k in range(8)])
    manifest = tmp_path / "manifest.csv"
    rows = [f"p/{m}-{k}.png,prompt {k},{m}" for m in "abc" for k in range(8)]
    manifest.write_text("\n".join(["image,prompt,model", *rows]) + "\n", encoding="utf-8")
    return manifest


@pytest.fixture
def scores(checkpoints: Path, shell: Shell) -> Path:
    folder = checkpoints.parent / "scores"
    assert shell("score", checkpoints, "-r", "tiny", "-r", "other=tiny", "-o", folder) == 0
    return folder


def test_every_odd_or_broken_picture_has_its_row(tmp_path: Path, shell: Shell) -> None:
    pictures = write_odd_pictures(tmp_path / "odd")
    assert len(pictures) >= 30
    manifest = tmp_path / "manifest.jsonl"
    lines = [json.dumps({"image": f"odd/{p.name}", "prompt": "a cat"}) for p in pictures]
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    summary = shell.json("score", manifest, "-r", "tiny", "-o", tmp_path / "scores", code=3)
    rows = list(ScoreTable(tmp_path / "scores").rows())
    assert summary["rows"] == len(rows) == len(pictures)
    for picture, row in zip(pictures, rows, strict=True):
        assert row["key"] == f"odd/{picture.name}" or not picture.name.isprintable()
        assert (row["tiny.total"] is not None) == picture.must_score, picture.name
        assert (row["tiny.error"] is None) == picture.must_score, picture.name
        if picture.code is not None:
            assert str(row["tiny.error"]).partition(":")[0] == picture.code, picture.name
    assert summary["failed"] == sum(not p.must_score for p in pictures)


def test_an_archive_is_scored_as_its_folder_is(tmp_path: Path, shell: Shell) -> None:
    write_pictures(tmp_path / "p", ["a.png", "b.png"])
    files = {path.name: path.read_bytes() for path in (tmp_path / "p").iterdir()}
    files |= {"a.txt": b"a cat", "b.txt": b"a dog", "c.png": b"cut"}
    write_zip(tmp_path / "x.zip", files)
    for name, data in files.items():
        (tmp_path / "p" / name).write_bytes(data)
    for source in ("p", "x.zip"):
        summary = shell.json(
            "score", tmp_path / source, "-r", "tiny", "-o", tmp_path / f"s-{source}", code=3
        )
        assert (summary["rows"], summary["failed"]) == (3, 1)
    packed, plain = (list(ScoreTable(tmp_path / f"s-{s}").rows()) for s in ("x.zip", "p"))
    assert [r | {"image": ""} for r in packed] == [
        r | {"image": "", "tiny.error": p["tiny.error"]} for r, p in zip(plain, packed, strict=True)
    ]
    assert [row["image"] for row in packed] == [f"{tmp_path}/x.zip/{n}.png" for n in "abc"]
    assert str(packed[2]["tiny.error"]).startswith("format: ")


def test_a_second_score_has_nothing_to_do(checkpoints: Path, scores: Path, shell: Shell) -> None:
    again = shell.json("score", checkpoints, "-r", "tiny", "-r", "other=tiny", "-o", scores)
    assert (again["scored"], again["skipped"]) == (0, 24)


def test_a_repaired_picture_is_scored_when_asked(tmp_path: Path, shell: Shell) -> None:
    write_pictures(tmp_path / "p", ["a.png", "b.png"])
    whole = (tmp_path / "p/a.png").read_bytes()
    (tmp_path / "p/a.png").write_bytes(whole[:50])
    words = ["score", tmp_path / "p", "-r", "tiny", "--set", "tiny.seed=3", "-o", tmp_path / "s"]
    (tmp_path / "p/a.txt").write_text("a cat")
    (tmp_path / "p/b.txt").write_text("a dog")
    assert shell(*words) == 3
    (tmp_path / "p/a.png").write_bytes(whole)
    assert shell(*words, "--json") == 3  # one row has no score still
    assert json.loads(shell.out)["skipped"] == 2
    assert "1 scores are missing since an earlier run; see --retry-failed" in shell.err
    again = shell.json(*words, "--retry-failed")
    assert (again["scored"], again["skipped"], again["failed"]) == (1, 1, 0)
    rows = list(ScoreTable(tmp_path / "s").rows())
    assert [row["key"] for row in rows] == ["a.png", "b.png"]
    assert [row["tiny.error"] for row in rows] == [None, None]


def test_filter_accounts_for_every_row(scores: Path, shell: Shell) -> None:
    out = scores.parent / "kept"
    rule = ["--where", "tiny.total > -9", "--top", "2", "--score", "tiny.total", "--by", "prompt"]
    summary = shell.json("filter", scores, *rule, "-o", out, "--pictures", "link")
    assert (summary["kept"], summary["dropped"]) == (16, 8)
    assert len(list((out / "pictures").rglob("*.png"))) == 16
    assert shell("filter", scores, "--where", "tiny.totl > 0", "-o", scores.parent / "x") == 2
    assert "did you mean 'tiny.total'" in shell.err


def test_rank_compares_checkpoints(scores: Path, shell: Shell) -> None:
    result = shell.json("rank", scores, "--by", "model", "--score", "tiny.total", "--draws", "50")
    standings = result["standings"]
    assert isinstance(standings, list)
    assert sorted(s["name"] for s in standings) == ["a", "b", "c"]
    assert shell("rank", scores, "--by", "model", "--score", "tiny.total") == 0
    assert "strength" in shell.out
    assert shell("rank", scores, "--by", "model") == 2
    assert "tiny" in shell.err


def test_report_writes_one_page(scores: Path, shell: Shell) -> None:
    page = scores.parent / "report.html"
    assert shell("report", scores, "-r", "tiny", "--by", "model", "-o", page) == 0
    assert page.read_text(encoding="utf-8").count("<html") == 1
    assert shell("report", scores, "-r", "tiny", "--explain", "tiny", "-o", page) == 2
    assert "explains nothing" in shell.err


def test_judgements_go_from_an_export_to_an_accuracy(tmp_path: Path, shell: Shell) -> None:
    tasks = json.loads(EXPORT.read_text(encoding="utf-8"))
    sides = [task["data"][side] for task in tasks for side in ("image_left", "image_right")]
    names = sorted({str(side).partition("?d=")[2] for side in sides})
    write_pictures(tmp_path / "media/gen", [Path(name).name for name in names])
    out = tmp_path / "judgements"
    summary = shell.json("annotate", "import", EXPORT, "--images", tmp_path / "media", "-o", out)
    assert (summary["tasks"], summary["annotations"]) == (10, 29)
    assert summary["flags"]["skipped"] == 2  # type: ignore[index]
    assert shell("annotate", "agreement", out) == 0
    assert "alpha ordinal" in shell.out
    result = shell.json("evaluate", "tiny", out, "--protocol", "hpdv2")
    assert set(result["aspects"]) == {"aesthetics", "detail", "alignment", "overall"}  # type: ignore[call-overload]
    assert shell("evaluate", "tiny", out) == 0
    assert "protocol imagereward" in shell.out
    assert shell("evaluate", "tiny", out, "--protocol", "pickapic") == 2


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["score", "/nowhere", "-r", "tiny", "-o", "x"], 1, "/nowhere does not exist"),
        (["score", ".", "-r", "tini", "-o", "x"], 2, "did you mean 'tiny'"),
        (["score", ".", "-r", "tiny", "--set", "tiny.sead=1", "-o", "x"], 2, "sead"),
        (["score", "."], 2, "missing option"),
        (["filter", "nothing", "-o", "x", "--where", "a > 1"], 1, "score table"),
        (["annotate", "import", "nothing.json", "-o", "x"], 1, "nothing.json"),
    ],
)
def test_bad_input_is_one_clear_line(
    words: list[str],
    code: int,
    says: str,
    shell: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_pictures(tmp_path / "here", ["a.png"])
    monkeypatch.chdir(tmp_path / "here")
    assert shell(*words) == code
    assert says in shell.err
    assert "Traceback" not in shell.err
