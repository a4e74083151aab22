"""Remote files are found by listings, and each picture is a row, come what may."""

from pathlib import Path

import pytest

from beholder._inputs import remote_files as _remote_files
from beholder._inputs.remote_files import below, fetch_each, fetch_picture, fixed_part, matching
from beholder._inputs.rows import Row
from beholder.errors import DataError, ImageError
from beholder.images import LIMITS
from beholder.inputs import read_inputs
from beholder.storage import Place


@pytest.fixture
def root(tmp_path: Path) -> Place:
    place = Place(f"memory://{tmp_path.name}")
    for number in range(3):
        (place / f"s-{number}.tar").write(bytes(number))
    (place / "deep/t.tar").write(b"four")
    return place


def test_patterns_are_found_in_their_order(root: Place) -> None:
    found = matching(f"{root}/s-{{2,0}}.tar")
    assert list(found) == [f"{root}/s-2.tar", f"{root}/s-0.tar"]
    assert [stamp.size for stamp in found.values()] == [2, 0]
    assert list(matching(f"{root}/s-*.tar")) == [f"{root}/s-{n}.tar" for n in range(3)]
    assert list(matching(f"{root}/{{s-1,deep/t}}.tar")) == [f"{root}/s-1.tar", f"{root}/deep/t.tar"]
    for pattern in ("s-{0..3}.tar", "t-*.tar", "nowhere/a.tar"):
        with pytest.raises(DataError, match=r"there is no memory://|cannot be listed"):
            matching(f"{root}/{pattern}")


def test_a_folder_is_listed_as_a_whole(root: Place) -> None:
    assert {n: s.size for n, s in below(root).items()} == {
        **{f"s-{n}.tar": n for n in range(3)},
        "deep/t.tar": 4,
    }


def test_the_fixed_part_of_a_pattern_is_a_folder() -> None:
    given = ["s3://b/x/s-{0..9}.tar", "s3://b/x/*/a.tar", "s3://b/x/a.tar"]
    assert [str(fixed_part(pattern)) for pattern in given] == ["s3://b/x"] * 3


class Flaky:
    """Fails so often before it answers."""

    def __init__(self, faults: int, error: type[Exception]) -> None:
        self.faults, self.error, self.asked = faults, error, 0

    def _strip_protocol(self, address: str) -> str:
        return address

    def cat_file(self, path: str, start: int, end: int) -> bytes:
        self.asked += 1
        if self.asked <= self.faults:
            raise self.error("reset by peer")
        return b"picture"[start:end]


@pytest.mark.parametrize(
    ("faults", "error", "asked", "outcome"),
    [
        (0, OSError, 1, b"picture"),
        (2, ConnectionResetError, 3, b"picture"),
        (3, TimeoutError, 3, "unreadable"),
        (3, FileNotFoundError, 1, "missing"),
    ],
)
def test_a_fault_of_the_network_is_met_three_times(
    monkeypatch: pytest.MonkeyPatch,
    faults: int,
    error: type[Exception],
    asked: int,
    outcome: bytes | str,
) -> None:
    flaky = Flaky(faults, error)
    monkeypatch.setattr(_remote_files, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(Place, "system", flaky)
    found = fetch_picture(Place("s3://b/a.png"))
    assert (found.code if isinstance(found, ImageError) else found) == outcome
    assert flaky.asked == asked


def test_a_picture_over_the_limit_is_not_held_whole(root: Place) -> None:
    (root / "big.png").write(bytes(LIMITS.bytes + 10))
    found = fetch_picture(root / "big.png")
    assert isinstance(found, bytes)
    assert len(found) == LIMITS.bytes + 1


def test_rows_keep_their_order_and_get_their_pictures(root: Place) -> None:
    images = [str(root / f"s-{n % 4}.tar") for n in range(12)]
    rows = [Row(key=str(n), image=at, prompt=None, name=at) for n, at in enumerate(images)]
    rows.append(Row(key="none", image=None, prompt=None, name=""))
    found = list(fetch_each(rows))
    assert [row.key for row in found] == [row.key for row in rows]
    codes = [r.image.code if isinstance(r.image, ImageError) else r.image for r in found]
    assert codes == [b"", b"\0", b"\0\0", "missing"] * 3 + [None]


def test_a_remote_folder_is_read_like_one_on_the_disk(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "a/a.png", "z.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(name.encode())
        (Place(f"memory://{tmp_path.name}") / name).write(name.encode())
    (tmp_path / "p.txt").write_text("one\ntwo\nthree\n")
    here = list(read_inputs(tmp_path / "in", tmp_path / "p.txt"))
    there = list(read_inputs(f"memory://{tmp_path.name}", tmp_path / "p.txt"))
    assert [(r.key, r.prompt) for r in here] == [(r.key, r.prompt) for r in there]
    assert [r.image for r in there] == [r.key.encode() for r in there]
