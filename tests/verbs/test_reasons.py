"""A person reads words, and a reason that is no code of ours stays as it is."""

import re
from pathlib import Path

import beholder
from beholder._verbs.reasons import in_words

RAISED = re.compile(r"(?:Image|Video|Item)Error\(\s*\"([a-z-]+)\"")


def test_every_code_that_is_raised_has_words() -> None:
    sources = Path(beholder.__file__).parent.rglob("*.py")
    codes = {code for path in sources for code in RAISED.findall(path.read_text("utf-8"))}
    assert {"format", "missing", "truncated"} <= codes
    assert [code for code in sorted(codes) if in_words(code) == code] == []


def test_other_reasons_stay_as_they_are() -> None:
    assert in_words("near duplicate") == "near duplicate"
