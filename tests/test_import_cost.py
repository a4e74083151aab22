import statistics
import subprocess
import sys

import pytest

HEAVY = (
    "transformers",
    "diffusers",
    "datasets",
    "label_studio_sdk",
    "open_clip",
    "torchvision",
    "accelerate",
    "peft",
    "timm",
    "huggingface_hub",
    "pyarrow",
    "pandas",
)
ALLOWED_SECONDS = 0.3
HELP = """
import contextlib, io, runpy, sys
sys.argv = ["beholder", "--help"]
with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
    runpy.run_module("beholder", run_name="__main__")
assert "beholder" in shown.getvalue()
"""


def run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def seconds_above_torch(code: str) -> float:
    """CPU time of the code in a fresh interpreter after `import torch`, median of three."""
    timed = f"import time, torch\nstart = time.process_time()\n{code}\n"
    timed += "print(time.process_time() - start)"
    return statistics.median(float(run(timed)) for _ in range(3))


@pytest.mark.slow
def test_importing_costs_little_more_than_torch() -> None:
    assert seconds_above_torch("import beholder; beholder.load") <= ALLOWED_SECONDS


@pytest.mark.slow
def test_help_costs_little_more_than_torch() -> None:
    assert seconds_above_torch(HELP) <= ALLOWED_SECONDS


@pytest.mark.parametrize("code", ["import beholder; beholder.load, beholder.Scores", HELP])
def test_heavy_libraries_wait_until_they_are_used(code: str) -> None:
    assert run(f"{code}\nimport sys\nprint([m for m in {HEAVY!r} if m in sys.modules])") == "[]"
