"""The page in a process of its own: Gradio leaves an event loop open where it is imported."""

import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the demo needs gradio")

SCRIPT = """
import json, sys, tempfile
from pathlib import Path
from types import SimpleNamespace
from beholder.demo.app import _file_of, page_of, theme
from beholder.demo.examples import Example, drawn_examples
from beholder.demo.judging import Judges
from beholder.rewards import load
from gradio.utils import get_upload_folder

with tempfile.TemporaryDirectory() as folder:
    fox = str(Path(get_upload_folder()) / "fox.png")
    first, *others = drawn_examples(Path(folder))
    judges = Judges({"tiny": load("tiny")})
    page = page_of(judges, [first, *others])
    apart = page_of(judges, [first, Example(first.picture, "something else")])
    asked = [each for each in page.fns.values() if each.api_name in {"score", "compare"}]
    print(json.dumps({
        "asked": [[str(each.concurrency_id), each.concurrency_limit] for each in asked],
        "tables": [
            sum(type(each).__name__ == "Dataset" for each in one.blocks.values())
            for one in (page, apart)
        ],
        "dropped": [_file_of(each) for each in (SimpleNamespace(path=fox), None)],
        "fox": fox,
        "style": theme()._get_theme_css(),
        "analytics": page.analytics_enabled,
        "stubs": sorted(path.name for path in Path(sys.modules[page_of.__module__].__file__)
                        .parent.glob("*.pyi")),
    }))
"""


@cache
def told() -> Any:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.long
def test_nobody_is_counted_and_no_font_is_fetched() -> None:
    assert told()["analytics"] is False
    assert "url(" not in told()["style"].replace("url('data:", "").replace('url("data:', "")
    assert "@import" not in told()["style"]


@pytest.mark.long
def test_the_rewards_are_asked_one_at_a_time() -> None:
    assert told()["asked"] == [["rewards", 1], ["rewards", 1]]


@pytest.mark.long
def test_a_dropped_file_is_handed_on_as_it_came_and_nothing_is_written_beside_the_code() -> None:
    assert told()["dropped"] == [told()["fox"], None]
    assert told()["stubs"] == []


@pytest.mark.long
def test_examples_of_two_prompts_are_not_compared() -> None:
    assert told()["tables"] == [2, 1]
