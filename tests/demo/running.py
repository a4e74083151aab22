"""`beholder demo` as a user starts it, in a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_ADDRESS = re.compile(r"open (http://\S+) in a browser")


@contextmanager
def running(*arguments: str, folder: str = "") -> Iterator[str]:
    """The address of a demo on a free port that keeps its files below `folder`."""
    command = [sys.executable, "-m", "beholder", "demo", "--port", "0", *arguments]
    environment = {**os.environ, **({"TMPDIR": folder} if folder else {})}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    said = ""
    try:
        for line in process.stderr:
            said += line
            if found := _ADDRESS.search(line):
                yield found[1]
                break
        else:
            raise AssertionError(said)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
