from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pytest
import typer

from beholder import _terminal as terminal
from beholder._command_line import Verbs, plain_type
from tests.shell import Shell


@pytest.mark.parametrize(
    "words",
    [
        ("filter", "x", "--where", "a", "--where", "b", "-o", "y"),
        ("filter", "x", "--where=a", "--top", "1", "--where", "b"),
    ],
)
def test_an_option_of_one_value_that_comes_twice_is_refused(
    shell: Shell, words: Sequence[str]
) -> None:
    assert shell(*words) == 2
    assert shell.err == "error: --where was given more than once; give it once\n"


def test_an_option_that_is_a_list_may_come_often(shell: Shell, tmp_path: Path) -> None:
    shell("score", tmp_path / "absent", "-r", "tiny", "-r", "niqe", "-o", tmp_path / "scores")
    assert "more than once" not in shell.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("scor",), "no such command 'scor'. Did you mean 'score'?; see beholder --help"),
        (("score", "x", "-r", "tiny"), "missing option '--out' / '-o'; see beholder score --help"),
    ],
)
def test_what_was_mistyped_is_one_line(shell: Shell, words: Sequence[str], said: str) -> None:
    assert shell(*words) == 2
    assert (shell.out, shell.err) == ("", f"error: {said}\n")


@pytest.mark.parametrize(
    ("label", "plain"),
    [
        ("<str>", "<text>"),
        ("<int range>", "<whole number>"),
        ("<float>", "<number>"),
        ("<list[str]>", "<text>..."),
        ("<list[Path]>", "<path>..."),
        ("<white|black>", "<white|black>"),
    ],
)
def test_a_type_is_called_what_a_user_calls_it(label: str, plain: str) -> None:
    assert plain_type(label) == plain


def test_help_names_types_in_words_and_keeps_ranges(shell: Shell) -> None:
    assert shell("generate", "--help") == 0
    said = " ".join(shell.out.split())
    assert "--steps <whole number> Of the scheduler. [default: 28; x>=1]" in said
    assert "<int" not in said
    assert "list[" not in said


def test_a_group_without_a_verb_shows_its_help(shell: Shell) -> None:
    assert shell("annotate") == 2
    assert "Usage: beholder annotate" in shell.out + shell.err


def test_the_exit_code_of_a_verb_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Verbs()

    @app.command()
    def leave(code: Annotated[int, typer.Argument()]) -> None:
        raise typer.Exit(code)

    monkeypatch.setattr("sys.argv", ["leave", "3"])
    with pytest.raises(SystemExit) as left:
        terminal.run(app)
    assert left.value.code == 3
