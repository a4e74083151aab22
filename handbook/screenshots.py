"""The pictures of docs/images/, taken of what the verbs made: `make screenshots`.

    python -m handbook.screenshots --quickstart quickstart [--rich runs/rich] [--only report]

Pages are those of a quickstart, which is made if it is not there; maps of a picture need the reward
and a scene of the tutorial "Explain and repair" besides.
"""

from __future__ import annotations

import argparse
import base64
import io
import logging
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from handbook.pages.project import ROOT
from tests._page.browser import Browser, browsing

LIMIT_BYTES = 200_000
IMAGES = ROOT / "docs" / "images"
_COLOURS = (256, 128, 64, 32, 16)
_SCENE = Path("drawn/test/000023.png")
_PROMPT = "a yellow flower"
_LOG = logging.getLogger(__name__)
_VERB = (sys.executable, "-m", "beholder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A picture of a page.

    Attributes:
        name: of the file, without its suffix.
        page: a file of the folder that was made, or a path of the server.
        width, height: of the screen, in pixels.
        at: the element that the screen begins with; its top if none.
        scheme: "light" or "dark".
        clicks, keys: what a reader does first, in this order.
        server: words of the verb that has to run meanwhile; none where a file is shown.
        ready: what is true on the page once it is drawn.
        shown: what is true once it has answered the clicks and keys.
    """

    name: str
    page: str
    width: int = 1280
    height: int = 1000
    at: str = ""
    scheme: str = "light"
    clicks: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    server: tuple[str, ...] = ()
    ready: str = "document.readyState == 'complete'"
    shown: str = "true"


SHOTS = (
    Shot(name="report", page="report.html", width=1056),
    Shot(name="report-leaderboard", page="report.html", at="#leaderboard"),
    Shot(name="report-gallery", page="report.html", width=768, at="#gallery", scheme="dark"),
    Shot(name="report-phone", page="report.html", width=390, height=844, at="#gallery"),
    Shot(name="report-viewer", page="report.html", clicks=(".plate button",), keys=("s",)),
    Shot(name="filter-card", page="kept/card.html", width=1060, height=1500),
    Shot(name="reliability", page="reliability.html", width=1056),
    Shot(name="agreement", page="agreement.html", width=1056),
    Shot(name="server-docs", page="docs", width=1056, server=("serve", "--reward", "mine={mine}")),
    Shot(
        name="demo",
        page="",
        height=900,
        server=("demo", "--reward", "mine={mine}", "--examples", "{folder}/manifest.csv"),
        ready="document.querySelectorAll('tbody tr').length > 1",
        at="h1",
        clicks=("tbody tr td",),
        shown="document.querySelector('.bd-total') !== null",
    ),
)


def pages(folder: Path) -> None:
    """Make what the shots show and is not there yet, in a quickstart's folder."""
    if not (folder / "report.html").is_file():
        _run("quickstart", str(folder))
    mine, held_out = str(folder / "runs/mine"), str(folder / "judgements/test")
    reliability, agreement = folder / "reliability.html", folder / "agreement.html"
    if not reliability.is_file():
        out = str(folder / "reliability.json")
        _run("calibrate", mine, held_out, "--report", str(reliability), "--out", out)
    if not agreement.is_file():
        _run("annotate", "agreement", held_out, "--html", str(agreement))


def take(shot: Shot, folder: Path, browser: Browser) -> Image.Image:
    """The picture of a page of a folder, or of a server that runs as long as it is taken."""
    if not shot.server:
        return _taken(shot, (folder / shot.page).resolve().as_uri(), browser)
    words = [word.format(mine=folder / "runs/mine", folder=folder) for word in shot.server]
    with _served(words) as address:
        return _taken(shot, f"{address}/{shot.page}", browser)


def save(picture: Image.Image, path: Path, limit: int = LIMIT_BYTES) -> Path:
    """Write a PNG of at most `limit` bytes, with as many colours as that leaves it.

    Raises ValueError if even few colours are too many.
    """
    for colours in _COLOURS:
        data = io.BytesIO()
        picture.convert("RGB").quantize(colours).save(data, "PNG", optimize=True)
        if data.tell() <= limit:
            path.write_bytes(data.getvalue())
            return path
    raise ValueError(f"{path.name} takes {data.tell()} bytes, more than {limit}; show less of it")


def explain(picture: Path, prompt: str, rich: Path, out: Path) -> Path:
    """The picture that `beholder explain` makes of one with a reward of rich feedback."""
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "explained.png"
        words = ("--prompt", prompt, "--reward", str(rich), "--out", str(made))
        _run("explain", str(picture), *words)
        with Image.open(made) as picture_of_maps:
            return save(picture_of_maps, out)


def main(words: Sequence[str] | None = None) -> None:
    """Take the pictures that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quickstart", type=Path, default=Path("quickstart"))
    parser.add_argument("--rich", type=Path, help="a reward of rich feedback, for explain.png")
    parser.add_argument("--scene", type=Path, default=_SCENE, help="what explain.png explains")
    parser.add_argument("--prompt", default=_PROMPT, help="of the scene")
    parser.add_argument("--only", nargs="*", choices=[shot.name for shot in SHOTS])
    parser.add_argument("--out", type=Path, default=IMAGES)
    asked = parser.parse_args(words)
    pages(asked.quickstart)
    with tempfile.TemporaryDirectory() as profile, browsing(Path(profile)) as browser:
        for shot in SHOTS:
            if not asked.only or shot.name in asked.only:
                picture = take(shot, asked.quickstart, browser)
                _LOG.info("%s", save(picture, asked.out / f"{shot.name}.png"))
    if asked.rich:
        _LOG.info("%s", explain(asked.scene, asked.prompt, asked.rich, asked.out / "explain.png"))


def _taken(shot: Shot, address: str, browser: Browser) -> Image.Image:
    browser.visit(address, width=shot.width, scheme=shot.scheme)
    _resize(shot, browser)
    browser.wait_for(shot.ready)
    for selector in shot.clicks:
        browser.click(selector)
    for key in shot.keys:
        browser.press(key)
    browser.wait_for(shot.shown)
    if shot.at:
        browser.evaluate(
            f"document.querySelector('{shot.at}').scrollIntoView({{behavior: 'instant'}})"
        )
    browser.settle()
    data = browser.call("Page.captureScreenshot")["data"]
    return Image.open(io.BytesIO(base64.b64decode(data)))


def _resize(shot: Shot, browser: Browser) -> None:
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=shot.width,
        height=shot.height,
        deviceScaleFactor=1,
        mobile=shot.width < 600,
    )


@contextmanager
def _served(words: Sequence[str]) -> Iterator[str]:
    """The address of a verb that serves, which ends afterwards."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    process = subprocess.Popen([*_VERB, *words, "--port", str(port)])
    try:
        _await(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def _await(port: int, process: subprocess.Popen[bytes], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise TimeoutError(f"nothing answers on port {port} after {seconds:.0f} s")


def _run(*words: str) -> None:
    subprocess.run([*_VERB, *words], check=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
