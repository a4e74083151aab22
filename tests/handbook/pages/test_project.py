from pathlib import Path

from handbook.pages.project import INCLUDED, ROOT, measurements, pages


def test_the_pages_of_the_root_are_there_as_they_are() -> None:
    made = pages()
    for uri, file in INCLUDED.items():
        assert made[uri] == (ROOT / file).read_text(encoding="utf-8")


def test_measurements_are_listed_the_newest_first(tmp_path: Path) -> None:
    for name in ("a-2026-11-23.txt", "b-2026-11-29.txt", "2026-11-30.md"):
        (tmp_path / name).write_text("")
    listed = [line for line in measurements(tmp_path).splitlines() if line.startswith("- ")]
    assert [line.partition("]")[0] for line in listed] == [
        "- [2026-11-30.md",
        "- [b-2026-11-29.txt",
        "- [a-2026-11-23.txt",
    ]
