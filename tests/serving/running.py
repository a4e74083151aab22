"""`beholder serve` as a user starts it, in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

READY_SECONDS = 120
_ADDRESS = re.compile(r"served at (http://\S+);")


@dataclass
class Running:
    """A server that is ready.

    Attributes:
        address: such as "http://127.0.0.1:41234".
        said: its lines of stderr so far.
    """

    process: subprocess.Popen[str]
    address: str = ""
    said: list[str] = field(default_factory=list)
    heard: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if found := _ADDRESS.search(line):
                self.address = found[1]
                self.heard.set()
        self.heard.set()  # it ended

    def stop(self, seconds: float = 60) -> int:
        """Its exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextmanager
def running(*arguments: str, env: dict[str, str] | None = None) -> Iterator[Running]:
    """A server, ready to score, on a free port; killed at the end if it still runs."""
    command = [sys.executable, "-m", "beholder", "serve", "--port", "0", *arguments]
    server = Running(
        subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
        )
    )
    listener = threading.Thread(target=server.listen, daemon=True)
    listener.start()
    try:
        assert server.heard.wait(READY_SECONDS), "".join(server.said)
        assert server.address, "".join(server.said)
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        listener.join()
        assert server.process.stderr is not None
        server.process.stderr.close()


def refused(arguments: Sequence[str], env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and stderr of a server that ends by itself."""
    done = subprocess.run(
        [sys.executable, "-m", "beholder", "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        check=False,
        env={**os.environ, **(env or {})},
    )
    return done.returncode, done.stderr
