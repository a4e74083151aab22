import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from beholder._page import thumbnails
from beholder._page.thumbnails import Fit, Missing, Thumbnail, thumbnail
from beholder.eval._report.sources import Drawings, sources
from beholder.images import ImageSource

PIXELS = torch.zeros(3, 8, 8, dtype=torch.uint8)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 20), "red").save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as packed:
        packed.write(tmp_path / "a.png", "in/a.png")
    return tmp_path / "pictures.zip"


def test_pictures_come_in_order_from_files_archives_and_memory(archive: Path) -> None:
    paths = [str(archive.parent / "a.png"), f"{archive}/in/a.png", f"{archive}/in/b.png"]
    drawn = [thumbnail(source, side=16) for source in sources([paths[0], PIXELS, *paths[1:]])]
    sizes = [(d.width, d.height) if isinstance(d, Thumbnail) else None for d in drawn]
    assert sizes == [(16, 8), (8, 8), (16, 8), None]
    assert isinstance(drawn[3], Missing)
    assert "b.png" in drawn[3].reason


def test_a_picture_that_is_drawn_twice_is_read_once(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []

    def counted(source: ImageSource, *, fit: Fit | None = None) -> Thumbnail | Missing:
        read.append(source)
        return thumbnail(source, fit=fit)

    monkeypatch.setattr(thumbnails, "thumbnail", counted)
    drawings, path = Drawings(), str(archive.parent / "a.png")
    assert drawings(path) is drawings(path)
    assert drawings(path, fit="crop") is not drawings(path)
    assert len(read) == 2
