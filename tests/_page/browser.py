"""Headless Chromium, driven over its DevTools pipe: what a page logs, requests and looks like."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


KEYS = {
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}
"""Keys without a character, and their numbers."""


class Browser:
    """One page of a running Chromium and every event that it reported."""

    def __init__(self, commands: int, answers: int) -> None:
        self.commands, self.answers = commands, answers
        self.buffer = b""
        self.events: list[dict[str, Any]] = []
        self.calls = 0
        self.session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        self.calls += 1
        message = {"id": self.calls, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while (answer := self.read()).get("id") != self.calls:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def read(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            part = os.read(self.answers, 1 << 16)
            assert part, "Chromium ended"
            self.buffer += part
        message, _, self.buffer = self.buffer.partition(b"\0")
        loaded: dict[str, Any] = json.loads(message)
        return loaded

    def open(self, page: Path, *, width: int, scheme: str = "light") -> None:
        """Load a page as on a screen of that width; returns when it is drawn."""
        self.visit(page.as_uri(), width=width, scheme=scheme)

    def visit(self, address: str, *, width: int, scheme: str = "light") -> None:
        """The same for an address."""
        self.resize(width=width, scheme=scheme)
        self.events.clear()
        self.call("Page.navigate", url=address)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.read())

    def resize(self, *, width: int, scheme: str = "light") -> None:
        """Take another screen for the page that is open."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=1000,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=media)

    def evaluate(self, expression: str) -> Any:
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 60) -> None:
        """Wait until an expression is true on the page."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.2)

    def settle(self) -> None:
        """Wait until timers that are due have run, and what they changed is drawn."""
        frames = "requestAnimationFrame(() => requestAnimationFrame(done))"
        waited = f"new Promise(done => setTimeout(() => {frames}))"
        self.call("Runtime.evaluate", expression=waited, awaitPromise=True)

    def press(self, key: str, *, control: bool = False) -> None:
        """Press and let go of a key, as on a keyboard; one of `KEYS` or one character."""
        code, number = (key, KEYS[key]) if key in KEYS else (_code(key), ord(key.upper()))
        stroke = {
            "key": key,
            "code": code,
            "windowsVirtualKeyCode": number,
            "modifiers": 2 * control,
        }
        letter = {"Enter": "\r"}.get(key, "" if key in KEYS else key)
        text = {"text": letter} if letter and not control else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **stroke, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **stroke)

    def click(self, selector: str) -> None:
        """Press and let go of the mouse in the middle of an element, once it is in sight."""
        found = f"document.querySelector({json.dumps(selector)})"
        for _ in range(2):  # what comes into sight may be drawn at another height and move it
            self.evaluate(f"{found}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
            self.settle()
        box = f"const box = {found}.getBoundingClientRect();"
        middle = "[box.x + box.width / 2, box.y + box.height / 2]"
        x, y = self.evaluate(f"(() => {{ {box} return {middle} }})()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path) -> Path:
        """The whole page as a PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def close(self) -> None:
        self.session = None
        self.call("Browser.close")

    def complaints(self) -> list[object]:
        """What the console said: errors, warnings, refused resources, exceptions."""
        loud = {"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"}
        return [event["params"] for event in self.events if event.get("method") in loud]

    def requested(self) -> list[str]:
        """Every address that the page asked for."""
        sent = (e for e in self.events if e.get("method") == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]


def _code(key: str) -> str:
    """The place of a character's key on a keyboard."""
    return f"Digit{key}" if key.isdigit() else f"Key{key.upper()}"


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile, ended afterwards."""
    assert CHROMIUM is not None
    from_test, to_browser = os.pipe()
    from_browser, to_test = os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 30) for end in (from_test, to_test)]

    def connect() -> None:  # Chromium reads descriptor 3 and writes descriptor 4
        for number, end in zip((3, 4), ends, strict=True):
            os.dup2(end, number)

    process = subprocess.Popen(
        [CHROMIUM, *QUIET, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=(3, 4),
        preexec_fn=connect,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (*ends, from_test, to_test):
        os.close(end)
    try:
        browser = Browser(to_browser, from_browser)
        yield browser
        browser.close()
        process.wait(timeout=20)
    finally:
        process.kill()
        process.wait()
        os.close(to_browser)
        os.close(from_browser)
