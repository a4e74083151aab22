"""A worker process without torch, which starts in milliseconds and does what prompts tell it.

It speaks the frames of `link` in its own words. A picture scores its number of bytes; the aspects
tell who scored it: "pid", and "weights", the number in the file "weights" of its folder, which may
also hold "broken", "killed", "gone", "slow" or "changing". A line of the file "tried" says what was
taken up, one of "loads" who began to load. "gate" waits for a file "open". As a real worker
does, it lets an item go at once that it has not taken up, whatever the others do.
"""

import json
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAM = "from tests.serving.stand_in_worker import main; main()"
HEAD = struct.Struct("!4sIQ")
MARK = b"bhl1"

Said = dict[str, Any]
NOTHING: Said = {"scores": {}, "faults": {}}
SENDING = threading.Lock()


def receive() -> Said | None:
    head = sys.stdin.buffer.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    _, text, data = HEAD.unpack(head)
    said: Said = json.loads(sys.stdin.buffer.read(text))
    said["bytes"] = len(sys.stdin.buffer.read(data))
    return said


def frame(said: Said) -> bytes:
    text = json.dumps(said).encode()
    return HEAD.pack(MARK, len(text), 0) + text


def send(said: Said) -> None:
    send_bytes(frame(said))


def send_bytes(data: bytes) -> None:
    with SENDING:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def half() -> None:
    send_bytes(frame({"say": "Answered"})[:-3])
    kill()


def garbage() -> None:
    send_bytes(b"hello, world! " * 4)
    time.sleep(60)


def mute() -> None:
    os.close(1)
    time.sleep(60)


def orphan() -> None:
    """Die and leave a child that holds the pipes open."""
    if os.fork() == 0:
        time.sleep(8)
        os._exit(0)
    kill()


def flood() -> None:
    """Say much more than a pipe holds."""
    send_bytes(frame({"say": "Answered", "id": 0, **NOTHING, "pad": "x" * 10_000}) * 200)


COMMANDS: dict[str, Callable[[], object]] = {
    "die": kill,
    "half": half,
    "garbage": garbage,
    "mute": mute,
    "orphan": orphan,
    "exit": lambda: os._exit(3),
    "hang": lambda: time.sleep(60),
    "slow": lambda: time.sleep(0.3),
    "flood": flood,
}


class Inbox:
    def __init__(self) -> None:
        self.asks: dict[int, Said] = {}
        self.is_over = False
        self.changed = threading.Condition()
        self.cancelled: set[int] = set()

    def listen(self) -> None:
        while (said := receive()) is not None:
            with self.changed:
                if said["say"] == "Stop":
                    self.is_over = True
                elif said["say"] == "Cancel":
                    self.cancel(said["id"])
                else:
                    self.asks[said["id"]] = said
                self.changed.notify_all()
            if self.is_over:
                return
        os._exit(1)

    def cancel(self, number: int) -> None:
        self.cancelled.add(number)
        if self.asks.pop(number, None) is not None:
            send({"say": "Answered", "id": number, **NOTHING})

    def batch(self, most: int) -> list[Said]:
        """What is asked by now; nothing once all is done."""
        with self.changed:
            self.changed.wait_for(lambda: self.asks or self.is_over)
            return [self.asks.pop(number) for number in list(self.asks)[:most]]


def load(folder: Path, name: str) -> str:
    weights = (folder / "weights").read_text()
    (folder / "loads").open("a").write(f"{os.getpid()}\n")
    if weights == "broken":
        send({"say": "Fatal", "kind": "WeightsError", "text": "the weights are broken"})
        sys.exit(1)
    if weights == "killed":
        kill()
    if weights == "gone":
        sys.exit(7)
    if weights == "slow":
        time.sleep(30)
    if weights == "changing":
        weights = str(os.getpid())
    info: Said = {
        "name": name,
        "reward": "bytes",
        "identity": {"weights": weights},
        "dtype": "none",
    }
    info |= {"score_range": [0, None], "aspects": ["pid", "weights"], "details": []}
    send({"say": "Ready", "rewards": [info]})
    return weights


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.005)


def answer(said: Said, name: str, weights: str, cancelled: set[int]) -> None:
    if said["id"] in cancelled:
        send({"say": "Answered", "id": said["id"], **NOTHING})
        return
    COMMANDS.get(said["item"]["prompt"], lambda: None)()
    aspects = {"pid": os.getpid(), "weights": float(weights)}
    scored = {"total": said["bytes"], "aspects": aspects, "deviations": {}, "size": [1, 1]}
    scored |= {"maps": {}, "words": []}
    send({"say": "Answered", "id": said["id"], "scores": {name: scored}, "faults": {}})


def main() -> None:
    begin = receive()
    assert begin is not None
    settings = begin["settings"]
    name, (_, options) = next(iter(settings["rewards"].items()))
    folder = Path(options["folder"])
    COMMANDS["gate"] = lambda: wait_for(folder / "open")
    weights = load(folder, name)
    inbox = Inbox()
    threading.Thread(target=inbox.listen, daemon=True).start()
    while asks := inbox.batch(settings["batch_size"]):
        began = time.monotonic()
        with (folder / "tried").open("a") as tried:
            tried.writelines(f"{os.getpid()} {said['item']['prompt']}\n" for said in asks)
        time.sleep(options.get("seconds", 0.0))
        for said in asks:
            answer(said, name, weights, inbox.cancelled)
        batch = {"reward": name, "size": len(asks), "seconds": time.monotonic() - began}
        send({"say": "Batch", **batch, "waited": 0.2})
