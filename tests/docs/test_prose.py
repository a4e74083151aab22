"""What pages name in a line exists, and their links lead somewhere."""

import pytest

from tests.docs.blocks import blocks, pages, read
from tests.docs.prose import code_faults, codes, link_fault, links, slug

LINKED = sorted({*pages(), "docs/design.md", "CHANGELOG.md"})


@pytest.mark.parametrize("page", pages())
def test_what_a_page_names_in_a_line_exists(page: str) -> None:
    found = [(line, code, wrong) for line, code in codes(read(page)) for wrong in code_faults(code)]
    wrong = [f"{page}:{line}: `{code}`: {why}" for line, code, why in found]
    assert not wrong, "\n".join(wrong)


def test_a_reader_is_told_the_name_of_every_file_to_write() -> None:
    for page in pages():
        lines = read(page).splitlines()
        for block in (each for each in blocks(page, read(page)) if each.way == "file"):
            before = " ".join(lines[max(0, block.line - 6) : block.line - 3])
            assert f"`{block.said}`" in before, block.place


@pytest.mark.parametrize("page", LINKED)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    found = [(line, link_fault(page, target)) for line, target in links(read(page))]
    wrong = [f"{page}:{line}: {why}" for line, why in found if why]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("beholder scor x", "no such command"),
        ("beholder score x --foo 3", "no such option"),
        ("--foo", "no verb has the option --foo"),
        ("beholder.eval.nothing", "beholder.eval has no nothing"),
        ("tests/secu/", "there is no tests/secu/"),
        ("python -m benchmarks.nothing", "there is no module benchmarks.nothing"),
    ],
)
def test_a_name_of_nothing_is_a_fault(code: str, said: str) -> None:
    assert said in "; ".join(code_faults(code))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("docs/nowhere.md", "there is no docs/nowhere.md"),
        ("docs/scoring.md#nowhere", "scoring.md has no heading 'nowhere'"),
        ("#nowhere", "README.md has no heading 'nowhere'"),
        ("http://example.org", "is no address"),
        ("https://…", "is no address"),
    ],
)
def test_a_link_to_nowhere_is_a_fault(target: str, said: str) -> None:
    assert said in link_fault("README.md", target)


def test_links_are_found_and_those_inside_code_are_not() -> None:
    text = "[a](b.md) ![c](d.png)\n`[e](f.md)`\n```text\n[g](h.md)\n```\n[i]: https://j.org/k\n"
    assert links(text) == [(1, "b.md"), (1, "d.png"), (6, "https://j.org/k")]


def test_headings_are_addressed_as_github_does() -> None:
    assert slug("FID, KID: what's `new`?") == "fid-kid-whats-new"
    assert slug("A [link](x.md) here") == "a-link-here"
