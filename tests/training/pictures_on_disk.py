"""Pictures of one colour, as files."""

from pathlib import Path

from PIL import Image


def plain(
    folder: Path, colour: tuple[int, int, int] = (102, 102, 102), size: tuple[int, int] = (8, 8)
) -> str:
    """A picture of one colour, `size` wide and high; the same file for the same picture."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{'-'.join(map(str, (*colour, *size)))}.png"
    Image.new("RGB", size, colour).save(path)
    return str(path)
