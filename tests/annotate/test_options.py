import pytest

import beholder._annotate
from beholder._annotate.options import app
from tests.shell import Shell

VERBS = {
    command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands
}


def test_every_verb_of_annotation_is_in_the_group() -> None:
    assert beholder._annotate.app is app
    assert {
        "up",
        "down",
        "push",
        "pull",
        "next",
        "import",
        "agreement",
        "aggregate",
        "source",
    } == VERBS


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_shows_an_example(verb: str, shell: Shell) -> None:
    assert shell("annotate", verb, "--help") == 0
    assert f"Example: beholder annotate {verb}" in shell.out
