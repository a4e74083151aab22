from pathlib import Path

import pytest

from tests.docs.commands import beholder_words, commands, expanded, without_comment


def test_a_line_goes_on_after_a_backslash_and_ends_before_a_comment() -> None:
    (first, second) = commands("beholder score a \\\n  -r mps   # the first\n\nbeholder rewards\n")
    assert first.words == ("beholder", "score", "a", "-r", "mps")
    assert (second.text, second.at) == ("beholder rewards", 3)


def test_variables_before_and_a_file_behind_are_no_words() -> None:
    (found,) = commands("A=1 B='x y' beholder cost tiny --json > out/costs.json")
    assert found.words == ("beholder", "cost", "tiny", "--json")
    assert (found.environment, found.output) == ({"A": "1", "B": "x y"}, "out/costs.json")


@pytest.mark.parametrize("line", ["a | b", "a && b", "a $(b)", "a > b | c", "a ~/b", "echo {1..3}"])
def test_what_only_a_shell_can_read_has_no_words(line: str) -> None:
    (found,) = commands(line)
    assert (found.words, found.text) == ((), line)


def test_what_is_quoted_needs_no_shell() -> None:
    (found,) = commands("""beholder filter s --where "a > 1 and b < 2" --set 'x={"k": 1}'""")
    assert "a > 1 and b < 2" in found.words[4]


def test_loops_and_here_documents_are_one_command() -> None:
    assert len(commands("for a in 1 2; do\n  echo $a\ndone\n")) == 1
    assert len(commands("cat > a <<END\nb\nEND\n")) == 1


def test_patterns_of_files_are_names_unless_quoted(tmp_path: Path) -> None:
    for name in ("b.png", "a.png"):
        (tmp_path / name).touch()
    assert expanded(("*.png", "'*.png'", "c*"), tmp_path) == ["a.png", "b.png", "*.png", "c*"]


def test_a_hash_inside_a_word_or_quotes_is_no_comment() -> None:
    line = "beholder rank s --pareto d=diversity/#x --where 'a # b'"
    assert without_comment(f"{line}  # said") == line


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "torchrun --nproc-per-node 2 --no-python beholder score a -o b",
            ["score", "a", "-o", "b"],
        ),
        ("accelerate launch -m beholder train tiny_cpu", ["train", "tiny_cpu"]),
        ("A=1 beholder rewards --json > x.json", ["rewards", "--json"]),
    ],
)
def test_beholder_is_found_behind_what_starts_it(line: str, words: list[str]) -> None:
    assert beholder_words(line) == [words]


def test_a_folder_of_that_name_is_no_program() -> None:
    assert beholder_words("git clone x && cd beholder") == []


def test_a_program_of_the_environment_is_found_by_its_name() -> None:
    (command,) = commands(".venv/bin/beholder score out/")
    assert command.words == ("beholder", "score", "out/")
    assert beholder_words(".venv/bin/beholder score out/") == [["score", "out/"]]
