"""What a quickstart tells while it runs, and how many threads it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch


@dataclass
class Diary:
    """Tells a person what happens, and keeps the seconds of each part and its shell line."""

    say: Callable[[str], object]
    start: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)

    @contextmanager
    def part(self, name: str, *commands: str) -> Iterator[None]:
        """One part, told before it begins, with the shell lines that do the same."""
        self.say(f"[{time.monotonic() - self.start:4.0f} s] {name}")
        for command in commands:
            self.say(f"         $ {command}")
        self.commands += commands
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 1)

    def total(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self.start, 1)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch inside, as many as before outside; on small tensors more are slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
