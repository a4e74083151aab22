from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from beholder.annotation.asking.media import Gathered, Picture, gather, save_png
from beholder.errors import AnnotationError
from beholder.images import read_image
from beholder.inputs import read_inputs

SECRET = "sampled by step-9000"


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 7, 3), np.uint8))


def save(folder: Path, name: str, picture: Image.Image, prompt: str = "a fox") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    notes = PngInfo()
    notes.add_text("parameters", SECRET)
    picture.save(folder / name, pnginfo=notes)
    (folder / name).with_suffix(".txt").write_text(prompt)
    return folder / name


def collect(folders: dict[str, Path], media: Path) -> Gathered:
    return gather({name: read_inputs(folder) for name, folder in folders.items()}, media)


def test_a_copy_shows_the_same_pixels_and_says_nothing_else(tmp_path: Path) -> None:
    original = save(tmp_path / "step-9000", "seed-7.png", noise(0))
    assert SECRET.encode() in original.read_bytes()
    (picture,) = collect({"step-9000": original.parent}, tmp_path / "media").pictures
    copy = tmp_path / "media" / picture.file
    assert torch.equal(read_image(copy), read_image(original))
    assert SECRET.encode() not in copy.read_bytes()
    with Image.open(copy) as opened:
        assert opened.info == {}
    assert not any(text in picture.file for text in ("step", "seed", "fox"))
    assert picture == Picture("a fox", picture.file, str(original), "step-9000")


def test_a_name_says_what_is_shown_and_not_how_it_was_saved(tmp_path: Path) -> None:
    one, other = noise(1), noise(2)
    save(tmp_path / "a", "x.png", one)
    one.save(tmp_path / "a" / "y.bmp")
    (tmp_path / "a" / "y.txt").write_text("a fox")
    save(tmp_path / "a", "z.png", other)
    files = [p.file for p in collect({"": tmp_path / "a"}, tmp_path / "media").pictures]
    assert files[0] == files[1] != files[2]
    assert len(list((tmp_path / "media").iterdir())) == 2


def test_a_size_is_part_of_the_name(tmp_path: Path) -> None:
    flat = torch.zeros((3, 4, 6), dtype=torch.uint8)
    assert save_png(flat, tmp_path) != save_png(flat.transpose(1, 2), tmp_path)


def test_a_picture_that_nobody_can_be_asked_about_is_named_with_its_reason(tmp_path: Path) -> None:
    save(tmp_path / "a", "good.png", noise(0))
    save(tmp_path / "a", "no-prompt.png", noise(1), prompt="  ")
    (tmp_path / "a" / "torn.png").write_bytes((tmp_path / "a" / "good.png").read_bytes()[:60])
    found = collect({"": tmp_path / "a"}, tmp_path / "media")
    assert [Path(p.source).name for p in found.pictures] == ["good.png"]
    reasons = {Path(r.source).name: r.reason for r in found.refused}
    assert reasons["no-prompt.png"] == "it has no prompt"
    assert "torn.png" in reasons["torn.png"]


def test_a_column_can_name_the_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, "x.png", noise(0))
    (tmp_path / "m.jsonl").write_text('{"image": "x.png", "prompt": "p", "model": "early"}\n')
    sources = {"": read_inputs(tmp_path / "m.jsonl")}
    (picture,) = gather(sources, tmp_path / "media", by="model").pictures
    assert picture.checkpoint == "early"
    with pytest.raises(AnnotationError, match="has no column 'step'; it has model"):
        gather(sources, tmp_path / "media", by="step")


def test_without_any_usable_picture_the_first_reason_is_told(tmp_path: Path) -> None:
    save(tmp_path / "a", "x.png", noise(0), prompt="")
    with pytest.raises(AnnotationError, match=r"none of the 1 pictures .* it has no prompt"):
        collect({"": tmp_path / "a"}, tmp_path / "media")
