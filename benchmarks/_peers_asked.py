"""A package in another process, asked by this one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks._options import ROOT

_QUIET = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    **dict.fromkeys(("HF_HUB_OFFLINE", "NO_ALBUMENTATIONS_UPDATE", "TOKENIZERS_PARALLELISM"), "1"),
}


class AskedPeer:
    """One package's model in a process of its own, from its making until the block ends.

    Attributes:
        package: its name and version.
        folder: where it has written its weights.
    """

    def __init__(self, command: Sequence[str | Path], folder: Path) -> None:
        self.folder = folder
        self._errors = (folder / "errors.txt").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env={**os.environ, **_QUIET},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.package = str(self._answer()["package"])

    @classmethod
    def made(cls, python: Path, name: str, folder: Path) -> Self:
        """The package of `_peers_models` with this name."""
        return cls([python, "-m", "benchmarks._peers_child", name, folder], folder)

    def score(self, paths: Sequence[Path], prompts: Sequence[str]) -> tuple[list[float], float]:
        """Scores, and the CPU seconds that the package needed.

        Raises RuntimeError with the last thing that it wrote, if it has ended.
        """
        assert self._process.stdin is not None
        asked = {"paths": [str(path) for path in paths], "prompts": list(prompts)}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        told = self._answer()
        return told["scores"], told["seconds"]

    def _answer(self) -> Mapping[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            written = self._errors.read().strip().splitlines() or ["it wrote nothing"]
            self.close()
            raise RuntimeError(f"the peer has ended: {written[-1]}")
        told: Mapping[str, Any] = json.loads(line)
        return told

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()
