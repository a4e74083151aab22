import socket
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

from beholder.calibration import Curve
from beholder.demo.running import listening_at
from beholder.errors import BeholderError
from beholder.rewards import load
from beholder.rewards._calibration import owned
from beholder.serving.settings import Access
from tests._page.browser import CHROMIUM, Browser, browsing
from tests.calibrations import calibration
from tests.demo.running import running
from tests.rewards.tinies import richhf

ACCESS = Access(host="127.0.0.1", port=0)
HOSTILE = "a red balloon <img src=x onerror=alert(1)> ${alert(1)} {{7*7}}"
DROP = ".image-container button"  # of those that are seen
_SENT = "Network.requestWillBeSent"


def test_an_address_that_is_taken_is_told() -> None:
    with listening_at(ACCESS) as door:
        taken = Access(host="127.0.0.1", port=door.getsockname()[1])
        with pytest.raises(BeholderError, match="choose another with --port"):
            listening_at(taken)


def test_an_address_of_ipv6_can_be_listened_at() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with listening_at(Access(host="::1", port=0)) as door:
        assert door.getsockname()[0] == "::1"


@pytest.mark.long
def test_the_page_is_served_to_this_machine_alone_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    kept = tmp_path / "kept"
    kept.mkdir()
    with running("-r", "tiny", folder=str(kept)) as address, httpx.Client() as client:
        page = client.get(address)
        assert page.status_code == 200
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert client.get(address, headers={"host": "other.example.org"}).status_code == 403
        for path in (str(secret), "README.md"):
            assert client.get(f"{address}/gradio_api/file={path}").status_code in {403, 404}
        assert [each.name[:14] for each in kept.iterdir()] == ["beholder-demo-"]
    assert list(kept.iterdir()) == []


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_dropped_picture_is_scored_and_a_bad_one_says_why(tmp_path: Path) -> None:
    good, bad, *specs = _prepared(tmp_path)
    with running(*specs) as address, browsing(tmp_path / "profile") as browser:
        browser.visit(address, width=1280)
        browser.wait_for(f"document.querySelector('{DROP}') !== null")
        drop(browser, good)
        browser.wait_for("document.body.innerText.includes('no prompt: this reward reads it')")
        write(browser, HOSTILE)
        press(browser, "Score")
        browser.wait_for("document.querySelectorAll('.fb-heat').length === 2")
        assert "onerror" in browser.evaluate("document.querySelector('.fb-prompt').textContent")
        assert "people would prefer it" in browser.evaluate("document.body.innerText")
        assert_quiet(browser, address)
        browser.visit(address, width=1280)
        browser.wait_for(f"document.querySelector('{DROP}') !== null")
        write(browser, "a red balloon")
        drop(browser, bad)
        browser.wait_for("document.body.innerText.includes('not a known picture format')")
        assert_quiet(browser, address)


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_two_pictures_are_compared_and_one_alone_says_what_is_missing(tmp_path: Path) -> None:
    good, *_ = _prepared(tmp_path)
    row = "[...document.querySelectorAll('tbody tr')].find(each => each.offsetParent)"
    with (
        running("-r", str(tmp_path / "plain")) as address,
        browsing(tmp_path / "profile") as browser,
    ):
        browser.visit(address, width=1280)
        open_tab(browser, "Two pictures")
        browser.wait_for(f"{row} !== undefined")
        browser.evaluate(f"{row}.click()")
        browser.wait_for("document.body.innerText.includes('how likely people prefer each')")
        shares = browser.evaluate("document.querySelector('.bd-likely').textContent")
        assert "left" in shares
        assert "right" in shares
        browser.visit(address, width=1280)
        open_tab(browser, "Two pictures")
        browser.wait_for(f"{row} !== undefined")
        drop(browser, good)
        press(browser, "Compare")
        browser.wait_for("document.body.innerText.includes('right: no picture')")
        assert_quiet(browser, address)


def _prepared(folder: Path) -> list[str]:
    """A good and a bad picture, and the command line of two rewards."""
    Image.new("RGB", (64, 48), "red").save(folder / "good.png")
    (folder / "bad.png").write_bytes(b"not a picture")
    richhf.tiny().save_pretrained(folder / "rich")
    plain = load("tiny")
    plain.calibration = owned(plain, calibration(Curve(), [-1.0, 1.0]))
    plain.save_pretrained(folder / "plain")
    paths = [str(folder / name) for name in ("good.png", "bad.png", "rich", "plain")]
    return [*paths[:2], "-r", paths[2], "-r", paths[3]]


def drop(browser: Browser, file: str) -> None:
    """Let go of a file over the place for it, as from a file manager, once the page listens."""
    for _ in range(10):
        _let_go(browser, file)
        if _uploads(browser, seconds=5):
            return
    raise AssertionError("no file was sent")


def _uploads(browser: Browser, seconds: float) -> bool:
    """Whether a file is sent to the page within these seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        browser.settle()
        sent = [e["params"] for e in browser.events if e.get("method") == _SENT]
        if any("/gradio_api/upload?" in each["request"]["url"] for each in sent):
            return True
        time.sleep(0.2)
    return False


def _let_go(browser: Browser, file: str) -> None:
    seen = f"[...document.querySelectorAll('{DROP}')].find(each => each.offsetParent)"
    box = f"{seen}.getBoundingClientRect()"
    x, y = browser.evaluate(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")
    data = {"items": [], "files": [file], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)


def write(browser: Browser, text: str) -> None:
    browser.evaluate("document.querySelector('textarea').focus()")
    browser.call("Input.insertText", text=text)


def press(browser: Browser, name: str) -> None:
    """Click a button, once it is there."""
    named = f"b => b.textContent.trim() === {name!r}"
    button = f"[...document.querySelectorAll('button')].find({named})"
    browser.wait_for(f"{button} !== undefined")
    browser.evaluate(f"{button}.click()")


def open_tab(browser: Browser, name: str) -> None:
    """Choose a tab; beside the tabs lie hidden copies, by which they are measured."""
    named = f"each => each.textContent.trim() === {name!r}"
    tab = f"[...document.querySelectorAll('[role=tab]')].find({named})"
    browser.wait_for(f"{tab} !== undefined")
    browser.evaluate(f"{tab}.click()")
    browser.wait_for(f"{tab}.getAttribute('aria-selected') === 'true'")


def assert_quiet(browser: Browser, address: str) -> None:
    """Nothing of another host was asked for, and no script of a stranger ran."""
    sent = [e["params"] for e in browser.events if e.get("method") == _SENT]
    asked = {each["request"]["url"] for each in sent}
    assert all(url.startswith((address, "data:", "blob:")) for url in asked), asked
    opened = [e for e in browser.events if e.get("method") == "Page.javascriptDialogOpening"]
    assert opened == []
